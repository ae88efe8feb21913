# The one graph of the benchmark: teacher -> one job per (pair, seed) -> reports, on one machine or on a cluster.
# `make reproduce` calls it. A job's only output is a manifest; the run notebooks write and skip records by key, so when the graph is
# read the manifests are made to say what is true (icckd.runs.plan), and file times play no part.
import sys
from pathlib import Path

from icckd.reporting import reports
from icckd.runs import batch, plan
from icckd.runs.profiles import find_profile

profile = config.get("profile", "quick")
results = config.get("results", "results/local")
work = "results/local"
try:
    chosen = [str(value) if (value := config.get(name)) is not None else "" for name in ("pairs", "methods", "seeds")]
    sweep = bool(config.get("sweep"))  # the trials of the profile's weights: no reports
    jobs = plan.make_jobs(profile, *chosen, results, work, sweep)
    name = find_profile(profile).name
    waiting = plan.prepare_manifests(jobs)
except ValueError as error:
    sys.exit(f"icckd: {error}")
by_name = {job.name: job for job in jobs}
papers = {} if sweep else reports.prepare_manifests(profile, results, work, stale=bool(waiting))
logs = f"{work}/{name}/{'sweep/' if sweep else ''}logs"
manifests = str(Path(jobs[0].parameters["manifest"]).parent)
batch.announce(jobs, papers, logs)


wildcard_constraints:
    job="|".join(map(re.escape, by_name)),
    paper="|".join(map(re.escape, papers)) or "-",


localrules:
    all,


rule all:
    input:
        [job.parameters["manifest"] for job in jobs] if sweep else list(papers.values()),


rule run:
    input:
        lambda w: [ancient(by_name[name].parameters["manifest"]) for name in by_name[w.job].needs],
    output:
        f"{manifests}/{{job}}.json",
    log:
        text=f"{logs}/{{job}}.log",
    params:
        notebook=lambda w: by_name[w.job].notebook,
        values=lambda w: str(plan.parameter_file(by_name[w.job])),
        executed=lambda w: f"{logs}/{w.job}.ipynb",
    priority: lambda w: len(jobs) - list(by_name).index(w.job)  # in the order of the plan, where long jobs come first
    threads: lambda w: by_name[w.job].parameters["threads"]
    resources:
        gpu=lambda w: by_name[w.job].resources.get("gpu", 0),
        mem_mb=lambda w: by_name[w.job].resources.get("mem_mb", 4000),
        runtime=lambda w: by_name[w.job].resources.get("runtime", 120),
    shell:
        "{sys.executable} -m papermill {params.notebook} {params.executed} -f {params.values} --no-progress-bar --log-output > {log.text} 2>&1"
        " || {{ echo {batch.FAILED} >> {log.text}; exit 1; }}"


rule report:
    input:
        [ancient(job.parameters["manifest"]) for job in jobs],
    output:
        f"{manifests}/report-{{paper}}.json",
    log:
        text=f"{logs}/report-{{paper}}.log",
    params:
        command=lambda w: reports.command(w.paper, profile, results, f"{manifests}/report-{w.paper}.json"),
    shell:
        "{sys.executable} {params.command} > {log.text} 2>&1 || {{ echo {batch.FAILED} >> {log.text}; exit 1; }}"
