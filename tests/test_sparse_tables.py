"""Tables of which nearly every cell is empty: names are read, and a fit without noise says so."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from lvmviz import PPCA, GaussianImputer
from lvmviz.tables import TableError, read_table

RNG = np.random.default_rng(0)
WHOLE = RNG.normal(size=(60, 4)) @ RNG.normal(size=(4, 4))


def test_a_header_over_mostly_empty_columns_is_read():
    made = read_table("a,b,c\n,1,\n,,2\n1,,\n2,3,\n,4,5\n3,,\n,,4\n,,\n", gaps=True)
    assert made.columns == ("a", "b", "c") and made.gaps == 12
    np.testing.assert_array_equal(made.points[1], [np.nan, np.nan, 2.0])


def test_words_over_empty_cells_alone_are_no_header():
    with pytest.raises(TableError):
        read_table("a,b\n,\n,\n", gaps=True)


def test_ninety_percent_missing_is_fitted_and_what_is_wrong_is_said():
    gapped = np.where(np.random.default_rng(0).random(WHOLE.shape) < 0.9, np.nan, WHOLE)
    with pytest.warns(ConvergenceWarning, match="the noise variance goes to 0"):
        model = PPCA(2, random_state=0).fit(gapped)
    assert model.noise_variance_ < 1e-6 * np.nanvar(gapped)
    assert np.isfinite(model.impute(gapped)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        filled = GaussianImputer(max_iter=20).fit_transform(gapped)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~np.isnan(gapped)], gapped[~np.isnan(gapped)])


def test_enough_rows_leave_noise_and_no_warning():
    gapped = np.where(np.random.default_rng(1).random(WHOLE.shape) < 0.2, np.nan, WHOLE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert PPCA(2, random_state=0).fit(gapped).noise_variance_ > 0.01
