"""`rand_perm_cam.mat`: the galleries that the authors of SYSU-MM01 drew once for all.

A cell array of one cell per camera, each a cell array of one matrix per person number: ten rows, one per
trial, each a permutation of the numbers of that person's images in that camera; no columns where there are
none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import DataError
from tapetum.matlab_files import read_matlab_cells

FILE = Path("exp") / "rand_perm_cam.mat"
_VARIABLE = "rand_perm_cam"


@dataclass(frozen=True, slots=True)
class Permutations:
    """The file's content.

    Attributes:
        path: The file, for messages.
        cameras: Of each camera, one matrix per person.
    """

    path: Path
    cameras: tuple[NDArray[np.object_], ...]

    @classmethod
    def read(cls, root: Path) -> Permutations:
        """The permutations below the folder `root` of the data set.

        Raises:
            FileNotFoundError: There is no such file.
            DataError: The file is no MATLAB file, or damaged, or holds something else.
        """
        path = root / FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such file; the official permutations come with the authors' evaluation code, "
                "not with the images"
            )
        cells = read_matlab_cells(path, _VARIABLE)
        for number, camera in enumerate(cells.flat, start=1):
            if camera.dtype != np.object_:
                raise DataError(
                    f"{path}: camera {number}: a {camera.dtype} {camera.shape}; "
                    "expected a cell array of one matrix per person"
                )
        return cls(path, tuple(camera.reshape(-1) for camera in cells.flat))

    def images(self, camera: int, person: int, trial: int, shots: int) -> list[int]:
        """Numbers of the images of a person in a camera, both counted from 1, in a trial counted from 0.

        Raises:
            DataError: There is no permutation of at least `shots` numbers for them.
        """
        where = f"{self.path}: camera {camera}, person {person}, trial {trial + 1}"
        if not (camera <= len(self.cameras) and 1 <= person <= len(self.cameras[camera - 1])):
            raise DataError(f"{where}: not in the file")
        matrix = self.cameras[camera - 1][person - 1]
        if matrix.ndim != 2 or matrix.dtype.kind not in "uif" or trial >= len(matrix):
            raise DataError(f"{where}: a {matrix.dtype} {matrix.shape}; expected a row of numbers per trial")
        numbers = matrix[trial]
        if sorted(numbers.tolist()) != list(range(1, len(numbers) + 1)):
            raise DataError(f"{where}: {numbers.tolist()} is no permutation of 1 to {len(numbers)}")
        if len(numbers) < shots:
            raise DataError(f"{where}: lists {len(numbers)} images; expected at least {shots}")
        return [int(number) for number in numbers[:shots]]
