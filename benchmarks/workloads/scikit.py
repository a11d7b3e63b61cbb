"""scikit-learn: grid searches on joblib's backends."""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits, make_classification
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from workloads import Workload, timed_again


def scores(asked):
    """Fit a search, the best model at the end included, and return its mean scores."""
    search, data = asked
    return search.fit(*data).cv_results_["mean_test_score"]


@cache
def digits():
    return load_digits(return_X_y=True)


@cache
def eight_megabytes():
    return make_classification(20_000, 50, random_state=0)


def svc(quick, _repetition):
    values = {"C": [1, 10] if quick else [1, 10, 100], "gamma": [1e-3, 1e-4]}
    return scores, [(GridSearchCV(SVC(), values, cv=5), digits())]


def trees(quick, _repetition):
    values = {"min_samples_leaf": range(1, 9 if quick else 41)}
    tree = DecisionTreeClassifier(max_depth=2, random_state=0)
    return scores, [(GridSearchCV(tree, values, cv=5), digits())]


def ridge(quick, _repetition):
    values = {"alpha": np.logspace(-3, 3, 2 if quick else 8)}
    return scores, [(GridSearchCV(Ridge(), values, cv=5), eight_megabytes())]


def search(title, job):
    return Workload(
        title,
        job,
        peers=("serial", "joblib on shoal", "joblib on loky", "joblib on multiprocessing"),
        repeat=timed_again,
        rounds=5,
        contenders=("joblib on shoal", "joblib on loky"),
        more_rounds=16,
        references={
            "serial": "speed-up over serial",
            "joblib on loky": "loky's time over its own",
        },
    )


WORKLOADS = {
    "scikit": search("GridSearchCV of SVC, 30 fits of about 50 ms, warm", svc),
    "scikit-trees": search("GridSearchCV of small trees, 200 fits of about 3 ms, warm", trees),
    "scikit-ridge": search("GridSearchCV of ridge regression, 40 fits on 8 MB, warm", ridge),
}
