import pytest
import torch

from tapetum.evaluation.distances import products
from tapetum.evaluation.distances.products import NegativeProducts, blocks_at_a_time, rows_at_a_time


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("rows", "gallery", "dimension"), [(1, 1, 1), (3, 10, 5), (70, 33, 64), (200, 301, 512)]
)
def test_products_are_negative_dot_products(dtype, rows, gallery, dimension):
    torch.manual_seed(0)
    vectors, items = torch.randn(rows, dimension, dtype=dtype), torch.randn(gallery, dimension, dtype=dtype)
    found = NegativeProducts(items)(vectors)
    assert (found.shape, found.dtype) == ((rows, gallery), dtype)
    expected = -(vectors.double() @ items.double().T)
    torch.testing.assert_close(
        found.double(), expected, atol=1e-4 if dtype == torch.float32 else 1e-11, rtol=0
    )


def test_a_product_does_not_depend_on_what_else_is_asked():
    torch.manual_seed(0)
    for items in torch.randn(777, 200), torch.randn(64, 33):
        vectors = torch.randn(300, items.shape[1])
        items[-1] = items[5]
        products = NegativeProducts(items)
        whole = products(vectors)
        assert torch.equal(whole[:, 5], whole[:, -1])
        for rows in (1, 2, 5, 31, 100):
            assert torch.equal(products(vectors[:rows]), whole[:rows])
            assert torch.equal(products(vectors[-rows:]), whole[-rows:])


@pytest.mark.parametrize(
    ("gallery", "rows"), [(0, 128), (1, 128), (131_072, 128), (150_000, 96), (1_000_000, 16), (10**9, 16)]
)
def test_large_galleries_are_asked_by_fewer_rows(gallery, rows):
    assert rows_at_a_time(gallery) == rows


def test_autocast_does_not_reach_the_products():
    torch.manual_seed(0)
    vectors, items = torch.randn(5, 64), torch.randn(9, 64)
    for multiply in (NegativeProducts(items), products._plain_product(items)):
        plain = multiply(vectors)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(multiply(vectors), plain)


def test_without_the_operators_for_a_laid_out_gallery_products_are_plain(monkeypatch):
    monkeypatch.setattr(products, "_can_pack", lambda device: False)
    torch.manual_seed(0)
    vectors, items = torch.randn(5, 64), torch.randn(9, 64)
    torch.testing.assert_close(NegativeProducts(items)(vectors), -vectors @ items.T)


@pytest.mark.parametrize(("gallery", "blocks"), [(0, 196_608), (20_000, 9), (100_000, 1), (10**9, 1)])
def test_fewer_blocks_of_large_galleries_are_held(gallery, blocks):
    assert blocks_at_a_time(gallery) == blocks
