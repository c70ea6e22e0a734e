"""Pooled answers to the models of tests/tests/models, by statsmodels on the union of the sites.

    pip install pandas statsmodels
    python3 tests/reference/models.py > tests/reference/models.json
"""

import json
import pathlib

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

DATA = pathlib.Path(__file__).parent.parent / "data"
HEART = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal", "num"]


def heart():
    sites = []
    for site in ["cleveland", "hungary", "long-beach", "switzerland"]:
        frame = pd.read_csv(DATA / "heart" / f"{site}.csv", names=HEART)
        frame["site"] = site
        sites.append(frame)
    frame = pd.concat(sites)
    frame["disease"] = (frame.num > 0).astype(float)
    return frame


def told(fit, robust=None):
    answer = {
        "n": int(fit.nobs),
        "estimates": dict(fit.params),
        "errors": dict(fit.bse),
        "covariance_of_first_two": float(np.asarray(fit.cov_params())[0, 1]),
        "log_likelihood": float(fit.llf),
    }
    for name in ["deviance", "pearson_chi2"]:
        if hasattr(fit, name):
            answer[name] = float(getattr(fit, name))
    if robust is not None:
        answer["robust"] = dict(robust.bse)
    return answer


def tight(model, **options):
    return model.fit(tol=1e-13, tol_criterion="params", maxiter=200, **options)


def lost(fit, smaller):
    """Twice the log-likelihood that a smaller model loses, by the dispersion of R's logLik where one is estimated."""
    return 2 * float(loglik(fit) - loglik(smaller))


def loglik(fit):
    family = getattr(fit.model, "family", None)
    if isinstance(family, sm.families.Gamma):
        return fit.model.loglike(fit.params, scale=fit.deviance / fit.nobs)
    return fit.llf


def mcfadden(fit):
    return float(1 - fit.llf / fit.llnull)


def tested(of):
    return {"statistic": float(np.squeeze(of.statistic)), "p": float(of.pvalue)}


def combined(fit, contrasts):
    """Estimate, standard error, p and interval of combinations of coefficients."""
    answers = {}
    for name, contrast in contrasts.items():
        of = fit.t_test(contrast)
        numbers = [of.effect, of.sd, of.pvalue, *np.squeeze(of.conf_int())]
        answers[name] = dict(zip(["estimate", "error", "p", "from", "to"], [float(np.squeeze(x)) for x in numbers]))
    return answers


def two_stages(fits):
    """The sites' fits together: combine_effects, but that no variance of truths is below 0, and the prediction of Higgins and others (2009)."""
    answers = {"heterogeneity": {}, "sites": {}} | {way: {} for way in ["fixed", "dersimonian_laird", "hartung_knapp"]}
    for site, fit in fits.items():
        ends = fit.conf_int(0.05)
        answers["sites"][site] = {"n": int(fit.nobs), "estimates": dict(fit.params), "errors": dict(fit.bse), "from": dict(ends[0])}
    k = len(fits)
    for name in next(iter(fits.values())).params.index:
        effects = np.array([fit.params[name] for fit in fits.values()])
        variances = np.array([fit.bse[name] ** 2 for fit in fits.values()])
        of = combine_effects(effects, variances, method_re="dl")
        tau2 = max(0.0, of.tau2)
        if tau2 == 0.0:
            error, scale = of.sd_eff_w_fe, of.scale_hksj_fe
            mean = of.mean_effect_fe
        else:
            error, scale = of.sd_eff_w_re, of.scale_hksj_re
            mean = of.mean_effect_re
        knapp = np.sqrt(scale) * error

        def told(mean, error, beyond):
            return {"estimate": mean, "error": error, "from": mean - beyond * error, "to": mean + beyond * error}

        normal = stats.norm.ppf(0.975)
        answers["fixed"][name] = told(of.mean_effect_fe, of.sd_eff_w_fe, normal)
        answers["dersimonian_laird"][name] = told(mean, error, normal)
        answers["hartung_knapp"][name] = told(mean, knapp, stats.t.ppf(0.975, k - 1))
        half = stats.t.ppf(0.975, k - 2) * np.sqrt(tau2 + error**2)
        test = of.test_homogeneity()
        answers["heterogeneity"][name] = {
            "Q": test.statistic,
            "p": test.pvalue,
            "I-squared": max(0.0, of.i2),
            "tau-squared": tau2,
            "prediction from": mean - half,
            "prediction to": mean + half,
        }
    return json.loads(json.dumps(answers, default=float))


def main():
    h, covid = heart(), pd.read_csv(DATA / "pda" / "covid.csv")
    rct = pd.read_csv(DATA / "indo_rct" / "indo_rct.csv")
    binomial, poisson = sm.families.Binomial, sm.families.Poisson
    answers = {}

    complete = h.dropna(subset=["age", "sex", "thalach", "exang", "oldpeak"])
    model = smf.glm("disease ~ C(site) + age + sex + thalach + exang + oldpeak", complete, family=binomial())
    fit = tight(model)
    sites = ", ".join(f"{name} = 0" for name in fit.params.index if "site" in name)
    answers["heart, sites"] = told(fit) | {"mcfadden": mcfadden(fit), "sites": tested(fit.wald_test(sites, scalar=True))}
    of_site, without_age = "C(site) + age + sex + thalach + exang + oldpeak", "C(site) + sex + thalach + exang + oldpeak"
    smaller = {name: smf.glm(f"disease ~ {right}", complete, family=binomial()) for name, right in [
        ("site", of_site.removeprefix("C(site) + ")),
        ("age", without_age),
        ("site + age", without_age.removeprefix("C(site) + ")),
    ]}
    hungary, switzerland = "C(site)[T.hungary]", "C(site)[T.switzerland]"
    answers["heart, smaller and combined sites"] = {
        "smaller": {name: lost(fit, tight(model)) for name, model in smaller.items()},
        "combined": combined(fit, {
            "against": f"{hungary} - {switzerland} = 0",
            "reference": f"{hungary} = 0",
            "mean and age": f"0.5 * {hungary} + 0.5 * {switzerland} + 10 * age = 0",
        }),
        "together": tested(fit.wald_test(f"{hungary} = 0, {hungary} - {switzerland} = 0", scalar=True)),
    }
    probit = lambda right: tight(smf.glm(f"disease ~ {right}", complete, family=binomial(sm.families.links.Probit())))
    answers["heart, smaller, probit"] = {"site": lost(probit(of_site), probit(of_site.removeprefix("C(site) + ")))}
    # Probabilities that no link brings near to 0 or 1. Sandwiches about the expected information; those of statsmodels are about the observed one here.
    for name, link in [("probit", sm.families.links.Probit()), ("cloglog", sm.families.links.CLogLog())]:
        model = smf.glm("disease ~ age + sex + exang + oldpeak", complete, family=binomial(link))
        fit = tight(model)
        own = model.score_obs(fit.params) @ np.asarray(fit.cov_params())
        answers[f"heart, {name}"] = told(fit) | {"robust": dict(zip(fit.params.index, np.sqrt((own**2).sum(axis=0))))}
    lines = [smf.ols(f"thalach ~ {right}", complete).fit() for right in ["C(site) + age", "age"]]
    answers["heart, smaller line"] = {"site": lost(*lines)}
    model = smf.glm("disease ~ sex + exang + oldpeak + C(site)", h.dropna(subset=["sex", "exang", "oldpeak"]), family=binomial())
    answers["heart, three and sites"] = told(tight(model))
    model = smf.glm("disease ~ age * C(sex) + I(oldpeak)", complete, family=binomial())
    answers["heart, interaction"] = told(tight(model), tight(model, cov_type="HC0"))

    model = smf.glm("death ~ age + sex + lab", covid, family=binomial())
    answers["covid, logit"] = told(tight(model), tight(model, cov_type="HC0"))
    model = smf.glm("death ~ age + sex + lab", covid, family=binomial(sm.families.links.Probit()))
    answers["covid, probit"] = told(tight(model))
    model = smf.glm("death ~ age + sex + lab", covid, family=binomial(sm.families.links.CLogLog()))
    answers["covid, cloglog"] = told(tight(model))
    model = smf.glm("los ~ age + sex + lab", covid, family=poisson())
    answers["covid, poisson"] = told(tight(model), tight(model, cov_type="HC0"))
    model = smf.glm("death ~ age + sex + lab", covid, family=poisson())
    answers["covid, modified poisson"] = told(tight(model), tight(model, cov_type="HC0"))
    model = smf.glm("los ~ age + sex + lab", covid, family=poisson(), offset=np.log(covid.age))
    answers["covid, offset"] = told(tight(model))
    model = smf.glm("los ~ age + sex + lab", covid[covid.los > 0], family=sm.families.Gamma(sm.families.links.Log()))
    answers["covid, gamma"] = told(tight(model))
    visits = pd.read_csv(DATA / "pda" / "visits.csv")
    model = smf.negativebinomial("visits ~ age + sex + medical_condition", visits)
    start = model.fit(method="bfgs", maxiter=500, disp=0).params
    answers["visits, negative binomial"] = told(model.fit(start_params=start, method="newton", maxiter=500, tol=1e-14, disp=0))
    # As R's glm.nb: the expected information of the means, as if theta were known.
    known = sm.families.NegativeBinomial(alpha=float(answers["visits, negative binomial"]["estimates"]["alpha"]))
    model = smf.glm("visits ~ age + sex + medical_condition", visits, family=known)
    answers["visits, theta known"] = told(tight(model))
    for name, formula, family in [("logit", "death ~ age + sex + lab", binomial()), ("poisson", "death ~ age + sex + lab", poisson())]:
        answers[f"covid, weighted {name}"] = {"mcfadden": mcfadden(tight(smf.glm(formula, covid, family=family, freq_weights=covid.los + 1)))}
    model = smf.ols("lab ~ age + sex", covid)
    answers["covid, linear"] = told(model.fit(), model.fit(cov_type="HC1")) | {"r_squared": float(model.fit().rsquared)}
    model = smf.ols("lab ~ age + I(age**2) + I(age**3)", covid)
    answers["covid, cubic"] = told(model.fit())
    model = smf.wls("lab ~ age + sex", covid, weights=covid.los + 1)
    answers["covid, weighted"] = told(model.fit())

    rct["y"], rct["tx"] = rct.outcome.str.startswith("1").astype(float), rct.rx.str.startswith("1").astype(float)
    answers["rct, crude"] = told(tight(smf.glm("y ~ tx", rct, family=binomial())))
    answers["rct, risk"] = told(tight(smf.glm("y ~ tx + risk", rct, family=binomial())))
    # Smaller models within these, and combinations of their coefficients.
    terms = ["age", "C(sex)", "lab"]

    def dropped(fit, formula):
        without = {t: " + ".join(o for o in terms if o != t) for t in terms}
        return {t: lost(fit(formula), fit(formula.split("~")[0] + "~ " + rest)) for t, rest in without.items()}

    glm = lambda family: lambda formula: tight(smf.glm(formula, covid, family=family))
    right = " + ".join(terms)
    answers["smaller, logit"] = dropped(glm(binomial()), f"death ~ {right}")
    answers["smaller, probit"] = dropped(glm(binomial(sm.families.links.Probit())), f"death ~ {right}")
    answers["smaller, poisson"] = dropped(glm(poisson()), f"los ~ {right}")
    gamma = covid[covid.los > 0]
    answers["smaller, gamma"] = dropped(
        lambda formula: tight(smf.glm(formula, gamma, family=sm.families.Gamma(sm.families.links.Log()))), f"los ~ {right}"
    )
    terms = ["age", "C(sex)"]
    answers["smaller, linear"] = dropped(lambda formula: smf.ols(formula, covid).fit(), "lab ~ age + C(sex)")
    answers["smaller, weighted"] = dropped(lambda formula: smf.wls(formula, covid, weights=covid.los + 1).fit(), "lab ~ age + C(sex)")

    def two(formula):
        model = smf.negativebinomial(formula, visits)
        start = model.fit(method="bfgs", maxiter=500, disp=0).params
        return model.fit(start_params=start, method="newton", maxiter=500, tol=1e-14, disp=0)

    answers["smaller, negative binomial"] = {
        "medical_condition": lost(two("visits ~ age + sex + medical_condition"), two("visits ~ age + sex")),
        "age + sex": lost(two("visits ~ age + sex + medical_condition"), two("visits ~ medical_condition")),
    }
    of_site = smf.glm("disease ~ C(site) + age * C(sex) + C(exang)", complete, family=binomial())
    rest = smf.glm("disease ~ C(site) + C(sex) + C(exang)", complete, family=binomial())
    fit = tight(of_site)
    answers["heart, smaller and combined"] = {
        "age + age:sex": lost(fit, tight(rest)),
        "combined": combined(fit, {"men of 60": "C(sex)[T.1.0] + 60 * age:C(sex)[T.1.0] = 0", "ten years": "10 * age = 0"}),
        "together": tested(fit.wald_test("C(sex)[T.1.0] = 0, age:C(sex)[T.1.0] = 0", scalar=True)),
    }
    fit = smf.ols("lab ~ age + C(sex) + los", covid).fit()
    f = fit.f_test("age = 0, los - C(sex)[T.1] = 0")
    answers["covid, combined"] = combined(fit, {"both": "los - 2 * age = 0"}) | {
        "together": {"f": float(np.squeeze(f.fvalue)), "p": float(f.pvalue)}
    }
    by_site = {site.lower(): of for site, of in covid.groupby("site")}
    logit = {site: tight(smf.glm("death ~ age + sex + lab", of, family=binomial())) for site, of in by_site.items()}
    answers["covid, two stages"] = two_stages(logit)
    lines = {site: smf.ols("lab ~ age + sex", of).fit(cov_type="HC1", use_t=True) for site, of in by_site.items()}
    answers["covid, two stages of a line"] = two_stages(lines)
    print(json.dumps(answers, indent=1))


main()
