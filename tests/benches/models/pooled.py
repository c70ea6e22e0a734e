"""Reads the sites' files below a folder; then answers each line, the name of a tool, with the seconds that it took and what it found."""
import glob, sys, time, warnings
import numpy as np, pandas as pd

warnings.filterwarnings("ignore")
TOOLS = {}


def tool(name):
    return lambda run: TOOLS.setdefault(name, run)


def rows(name):
    return pd.concat([pd.read_csv(file) for file in sorted(glob.glob(f"{sys.argv[1]}/*/{name}.csv"))], ignore_index=True)


tab, net, cox, km = (rows(name).drop(columns="patient") for name in ("tab", "net", "cox", "km"))
X = np.ascontiguousarray(tab.drop(columns="y").to_numpy(dtype=float))
X1 = np.column_stack([np.ones(len(X)), X])
y = tab["y"].to_numpy().astype(int)
N = np.ascontiguousarray(net.drop(columns="y").to_numpy(dtype=float))
v = net["y"].to_numpy().astype(int)
PENALTIES = [0.1, 0.03, 0.01, 0.003, 0.001]


@tool("numpy, IRLS")
def irls():
    b = np.zeros(X1.shape[1])
    for _ in range(25):
        mu = 1 / (1 + np.exp(-(X1 @ b)))
        w = mu * (1 - mu)
        step = np.linalg.solve((X1 * w[:, None]).T @ X1, X1.T @ (y - mu))
        b = b + step
        if abs(step).max() < 1e-8:
            break
    return b[:3]


@tool("statsmodels, GLM")
def glm():
    import statsmodels.api as sm

    return sm.GLM(y, X1, family=sm.families.Binomial()).fit().params[:3]


@tool("scikit-learn, newton-cholesky")
def newton():
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression(C=1e12, max_iter=200, tol=1e-8, solver="newton-cholesky").fit(X, y)
    return [fit.intercept_[0], *fit.coef_[0][:2]]


@tool("scikit-learn, 5 folds and all")
def folds():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
    from sklearn.model_selection import cross_val_predict

    fit = LogisticRegression(C=1e12, max_iter=200, tol=1e-8, solver="newton-cholesky")
    fit.fit(N, v)
    p = cross_val_predict(fit, N, v, cv=5, method="predict_proba")[:, 1]
    return [2 * log_loss(v, p), brier_score_loss(v, p), roc_auc_score(v, p)]


def standardised():
    mean, sd = N.mean(axis=0), N.std(axis=0)
    return (N - mean) / sd, mean, sd


def as_they_stand(fit, mean, sd):
    slopes = fit.coef_[0] / sd
    return [fit.intercept_[0] - slopes @ mean, *slopes[:2]]


@tool("scikit-learn, saga down the path")
def path():
    from sklearn.linear_model import LogisticRegression

    Z, mean, sd = standardised()
    fit = LogisticRegression(l1_ratio=0.5, solver="saga", tol=1e-4, warm_start=True)
    for penalty in PENALTIES:
        fit.set_params(C=1 / (penalty * len(v))).fit(Z, v)
    return as_they_stand(fit, mean, sd)


@tool("scikit-learn, LogisticRegressionCV")
def path_by_folds():
    from sklearn.linear_model import LogisticRegressionCV

    Z, mean, sd = standardised()
    strengths = [1 / (penalty * len(v)) for penalty in PENALTIES]
    fit = LogisticRegressionCV(Cs=strengths, l1_ratios=[0.5], solver="saga", tol=1e-4, cv=5, scoring="neg_log_loss", n_jobs=2)
    return as_they_stand(fit.fit(Z, v), mean, sd)


@tool("lifelines, CoxPHFitter")
def cox_fit():
    from lifelines import CoxPHFitter

    return CoxPHFitter().fit(cox, "time", "event").params_[:3]


@tool("lifelines, KaplanMeierFitter")
def curve():
    from lifelines import KaplanMeierFitter

    fit = KaplanMeierFitter().fit(km["time"], km["event"])
    return [fit.predict(t) for t in (10710, 10800, 10890)]


@tool("numpy, eigvalsh of cov")
def eigenvalues():
    return np.linalg.eigvalsh(np.cov(X, rowvar=False))[::-1][:3]


@tool("scikit-learn, PCA")
def components():
    from sklearn.decomposition import PCA

    return PCA(n_components=5).fit(X).explained_variance_[:3]


@tool("scikit-learn, KMeans")
def clusters():
    from sklearn.cluster import KMeans

    fit = KMeans(5, n_init=1, max_iter=20, tol=0, random_state=1).fit(X)
    return sorted(np.bincount(fit.labels_) / len(X), reverse=True)[:3]


print("ready", flush=True)
for line in sys.stdin:
    begun = time.perf_counter()
    try:
        found = TOOLS[line.strip()]()
    except ImportError:
        print("absent", flush=True)
        continue
    took = time.perf_counter() - begun
    print(f"{took}\t{[round(float(v), 6) for v in found]}", flush=True)
