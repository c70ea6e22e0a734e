"""Principal components and k-means of tests/tests/models/described, by numpy and scikit-learn on the union of the sites.

    pip install numpy pandas scipy scikit-learn
    python3 tests/reference/described.py > tests/reference/described.json
"""

import json
import pathlib

import numpy as np
import pandas as pd
from scipy.stats import chi2
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import calinski_harabasz_score

DATA = pathlib.Path(__file__).parent.parent / "data"
HEART = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal", "num"]


def heart(columns):
    sites = [pd.read_csv(DATA / "heart" / f"{site}.csv", names=HEART) for site in ["cleveland", "hungary", "long-beach", "switzerland"]]
    return pd.concat(sites)[columns].dropna()


def components(frame, standardise):
    x = frame.to_numpy(float)
    if standardise:
        x = (x - x.mean(0)) / x.std(0, ddof=1)
    fit = PCA(svd_solver="full").fit(x)
    directions = fit.components_
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(1)])
    n, p = x.shape
    r = np.corrcoef(x.T)
    inverse = np.linalg.inv(r)
    partial = -inverse / np.sqrt(np.outer(np.diag(inverse), np.diag(inverse)))
    off = ~np.eye(p, dtype=bool)
    statistic = -(n - 1 - (2 * p + 5) / 6) * np.linalg.slogdet(r)[1]
    simple, rest = (r**2 * off), (partial**2 * off)
    return {
        "n": n,
        "variances": fit.explained_variance_.tolist(),
        "shares": fit.explained_variance_ratio_.tolist(),
        "directions": (directions * signs[:, None]).tolist(),
        "means": frame.mean().tolist(),
        "sds": frame.std(ddof=1).tolist(),
        "bartlett": statistic,
        "p": float(chi2.sf(statistic, p * (p - 1) / 2)),
        "kmo": float(simple.sum() / (simple.sum() + rest.sum())),
        "kmo_of_columns": (simple.sum(0) / (simple.sum(0) + rest.sum(0))).tolist(),
    }


def clusters(frame, k):
    x = frame.to_numpy(float)
    scaled = x / x.std(0, ddof=1)
    fit = KMeans(k, n_init=200, tol=0, max_iter=1000, algorithm="lloyd", random_state=1).fit(scaled)
    sizes = np.bincount(fit.labels_)
    order = np.argsort(-sizes)
    return {
        "sizes": sizes[order].tolist(),
        "centroids": [x[fit.labels_ == c].mean(0).tolist() for c in order],
        "within": float(fit.inertia_),
        "calinski_harabasz": float(calinski_harabasz_score(scaled, fit.labels_)),
    }


def main():
    frame = heart(["age", "trestbps", "chol", "thalach", "oldpeak"])
    few = heart(["age", "trestbps", "thalach"])
    answers = {
        "heart, correlation": components(frame, True),
        "heart, covariance": components(frame, False),
        "heart, 3 clusters": clusters(few, 3),
    }
    print(json.dumps(answers, indent=1))


main()
