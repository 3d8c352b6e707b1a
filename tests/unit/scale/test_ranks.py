import pytest

from tapetum.scale import device_of, part_of


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 1)),
        ({"RANK": "3", "WORLD_SIZE": "4", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, (3, 4)),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (1, 2)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "9",
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_ARRAY_TASK_STEP": "4",
                "SLURM_ARRAY_TASK_COUNT": "3",
                "SLURM_PROCID": "0",
                "SLURM_NTASKS": "1",
            },
            (2, 3),
        ),
    ],
)
def test_launchers_say_which_part(environment, expected):
    assert part_of(None, environment) == expected
    assert part_of("all", environment) == (0, 1)
    assert part_of("1/5", environment) == (1, 5)


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("5/5", {}),
        ("-1/5", {}),
        ("half", {}),
        (None, {"RANK": "two", "WORLD_SIZE": "4"}),
        (None, {"RANK": "4", "WORLD_SIZE": "4"}),
        (None, {"SLURM_ARRAY_TASK_ID": "1"}),
        (
            None,
            {
                "SLURM_ARRAY_TASK_ID": "4",
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_ARRAY_TASK_STEP": "2",
                "SLURM_ARRAY_TASK_COUNT": "3",
            },
        ),
    ],
)
def test_parts_that_cannot_be_are_refused(text, environment):
    with pytest.raises(ValueError, match=r"expected|form RANK/WORLD|uneven"):
        part_of(text, environment)


def test_each_process_of_a_machine_gets_its_device():
    assert device_of("cuda", {"LOCAL_RANK": "1"}) == "cuda:1"
    assert device_of("cuda", {}) == "cuda"
    assert device_of("cuda:5", {"LOCAL_RANK": "1"}) == "cuda:5"
