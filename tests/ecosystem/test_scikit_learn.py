"""scikit-learn through joblib on our workers: the serial results, and its own ways of failing."""

import numpy as np
import pytest

import shoal

pytest.importorskip("sklearn")

import joblib
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, permutation_test_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("joblib")]


@pytest.fixture(scope="module")
def data():
    return make_classification(300, 8, random_state=1)


@pytest.fixture
def on_shoal(joblib):
    with joblib.parallel_config(backend="shoal", n_jobs=2):
        yield


@pytest.fixture
def serially(joblib):
    """Calls a function outside our backend."""

    def call(function):
        with joblib.parallel_config(backend="sequential"):
            return function()

    return call


def scores(search):
    return {
        name: values.tolist()
        for name, values in search.cv_results_.items()
        if "score" in name and "time" not in name
    }


def test_a_grid_search_finds_what_it_finds_serially(data, on_shoal, serially):
    def search():
        return GridSearchCV(SVC(), {"C": [0.1, 1.0, 10.0], "gamma": [0.01, 0.1]}, cv=3).fit(*data)

    found, expected = search(), serially(search)
    assert scores(found) == scores(expected)
    assert found.best_params_ == expected.best_params_


def test_data_of_megabytes_reach_the_fits_unchanged(on_shoal, serially):
    x, y = make_classification(20_000, 10, random_state=2)
    assert x.nbytes > 1 << 20

    def search():
        grid = {"logisticregression__C": [0.1, 1.0]}
        steps = make_pipeline(FunctionTransformer(lambda x: x**2), LogisticRegression())
        return GridSearchCV(steps, grid, cv=3).fit(x, y)

    assert scores(search()) == scores(serially(search))


@pytest.mark.parametrize(
    "validate",
    [
        lambda x, y: cross_val_score(make_pipeline(StandardScaler(), SVC()), x, y, cv=4),
        lambda x, y: permutation_test_score(SVC(), x, y, n_permutations=6, random_state=3)[1],
    ],
)
def test_validation_scores_are_those_of_the_serial_run(validate, data, on_shoal, serially):
    assert np.array_equal(validate(*data), serially(lambda: validate(*data)))


def test_a_forest_is_the_same_forest(data, on_shoal, serially):
    def probabilities():
        forest = RandomForestClassifier(12, random_state=4).fit(*data)
        return forest.predict_proba(data[0])

    assert np.array_equal(probabilities(), serially(probabilities))


def test_a_forest_inside_a_search_runs_inline_in_its_worker(data, on_shoal, serially):
    def search():
        forest = RandomForestClassifier(5, random_state=5, n_jobs=2)
        return GridSearchCV(forest, {"max_depth": [2, 4]}, cv=2).fit(*data)

    assert scores(search()) == scores(serially(search))


class Odd(ClassifierMixin, BaseEstimator):
    """Fits anything but an odd depth."""

    def __init__(self, depth=2):
        self.depth = depth

    def fit(self, x, y):
        if self.depth % 2:
            raise ArithmeticError(f"depth {self.depth} is odd")
        self.classes_ = np.unique(y)
        return self

    def predict(self, x):
        return np.zeros(len(x), int)


def test_a_fit_that_fails_has_its_own_error_which_names_the_parameters(data, on_shoal):
    search = GridSearchCV(Odd(), {"depth": [2, 3]}, cv=2, error_score="raise")
    with pytest.raises(ArithmeticError, match="depth 3 is odd") as caught:
        search.fit(*data)
    assert shoal.failure(caught.value).kwargs["parameters"] == {"depth": 3}


def test_a_fit_that_fails_may_score_nan_as_scikit_learn_has_it(data, on_shoal):
    search = GridSearchCV(Odd(), {"depth": [2, 3]}, cv=2, error_score=np.nan)
    with (
        pytest.warns(FitFailedWarning, match="2 fits failed"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        search.fit(*data)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]


def test_memory_of_joblib_is_filled_by_the_workers(tmp_path, on_shoal):
    memory = joblib.Memory(tmp_path, verbose=0)
    cached = memory.cache(pow)
    tasks = [joblib.delayed(cached)(x, 2) for x in range(4)]
    assert joblib.Parallel()(tasks) == [0, 1, 4, 9]
    assert all(cached.check_call_in_cache(x, 2) for x in range(4))
