"""The offline analyzer for tools with a job of their own; what is no job goes to the analyzer for held tools."""

from __future__ import annotations

from toolwright.llm_planner.knowledge import geometry
from toolwright.llm_planner.offline import analyzer, grammar, job_grammar, words
from toolwright.llm_planner.offline.grammar import MAX_SENTENCE, NotUnderstood
from toolwright.llm_planner.offline.grounding import Grounder
from toolwright.llm_planner.offline.job_grammar import JobClause
from toolwright.llm_planner.roles import Action, Analysis, ObjectFacts, Refusal, Request
from toolwright.perception.scene import Scene

_TASKS: dict[str, str] = {
    "dispense": "dispense a volume",
    "turn": "turn a nut",
    "clip_on": "clip the clothespin on a line",
    "cut": "cut a strip",
}
_CONSTRAINTS = {
    "dispense": "{object} must be open at the top and within reach, and the syringe hold as much",
    "turn": "the nut must fit between the jaws",
    "clip_on": "{object} must be thinner than the jaws open",
    "cut": "the cut must lie between the stand and the end of {object}",
}
_COMPUTED = {
    "dispense": "the plunger's travel for the volume",
    "turn": "the directions of the nut's flats",
    "clip_on": "the direction of {object}",
    "cut": "the length of {object} that stays",
}
_GRIPPING = frozenset({"pick", "drop_in", "place_at", "put_down"})
_ACTIONS: dict[str, Action] = {"dispense": "dispense", "turn": "turn", "clip_on": "clip_on", "cut": "cut"}


def analyze(sentence: str, scene: Scene) -> Analysis:
    """Read a sentence against a scene; what cannot be read comes back as `problem`."""
    assert scene.tool is not None
    family = scene.tool.family
    try:
        read = [(clause, _read(clause, family)) for clause in job_grammar.clauses(sentence[:MAX_SENTENCE])]
        if len(sentence) > MAX_SENTENCE or not any(job for _, job in read):
            return _fitting(analyzer.analyze(sentence, scene), family)
        return _together(read, scene)
    except NotUnderstood as error:
        return Analysis(task="not understood", problem=Refusal(reason=error.reason, suggestion=error.suggestion))


def _read(clause: str, family: str) -> JobClause | None:
    tokens = set(clause.split())
    if tokens & words.NEGATIONS or tokens & words.CONDITIONS - {"twice"}:
        raise NotUnderstood("I only carry out plain requests in order.", job_grammar.CAN_DO[family])
    if other := job_grammar.wrong_tool(clause, family):
        raise NotUnderstood(f"That is a job for {other}; the hand holds {family}.", job_grammar.CAN_DO[family])
    return job_grammar.read(clause, family)


def _fitting(analysis: Analysis, family: str) -> Analysis:
    """The analysis, without what this tool cannot do."""
    problem = analysis.problem
    if problem is not None and problem.suggestion == grammar.CAN_DO:
        problem = Refusal(reason=problem.reason, suggestion=job_grammar.CAN_DO[family])
    gripping = any(request.action in _GRIPPING for request in analysis.requests)
    if problem is None and gripping and not job_grammar.grips(family):
        reason = f"The {family} in the hand picks nothing up."
        problem = Refusal(reason=reason, suggestion=job_grammar.CAN_DO[family])
    return analysis.model_copy(update={"problem": problem})


def _together(read: list[tuple[str, JobClause | None]], scene: Scene) -> Analysis:
    grounder = Grounder(scene)
    requests: list[Request] = []
    tasks: list[str] = []
    for clause, job in read:
        if job is None:
            other = _fitting(analyzer.analyze(clause, scene), scene.tool.family if scene.tool else "")
            if other.problem is not None:
                return other
            requests += other.requests
            tasks.append(other.task)
            grounder.notes += other.notes
            continue
        names = grounder.resolve(job.phrase)
        requests += [
            Request(action=_ACTIONS[job.action], object=name, values=_values(job, name, scene)) for name in names
        ]
        tasks.append(_TASKS[job.action])
        grounder.notes += [job.note] if job.note else []
    mine = [request for request in requests if request.action in _TASKS]
    return Analysis(
        task=", then ".join(tasks),
        requests=tuple(requests),
        objects=tuple(_fact(name, scene) for name in dict.fromkeys(r.object for r in requests if r.object)),
        constraints=tuple(dict.fromkeys(_CONSTRAINTS[r.action].format(object=r.object) for r in mine)),
        to_compute=tuple(dict.fromkeys(_COMPUTED[r.action].format(object=r.object) for r in mine)),
        notes=(*dict.fromkeys((*grounder.notes, *scene.notes)),),
    )


def _values(job: JobClause, name: str, scene: Scene) -> dict[str, float]:
    if job.action == "cut":
        whole = scene.objects[name].length
        left = job.amount if job.amount > 0 else whole + job.amount if job.amount else whole / 2
        return {"length": round(left, 4)}
    key = {"dispense": "volume", "turn": "angle"}.get(job.action)
    return {key: round(job.amount, 4)} if key else {}


def _fact(name: str, scene: Scene) -> ObjectFacts:
    item = scene.objects[name]
    return ObjectFacts(
        name=name,
        role="container" if item.opening else "target",
        shape=item.shape,
        width=round(geometry.width(item), 4),
        mass=item.mass,
        mouth=item.opening,
        pos=(round(float(item.pos[0]), 4), round(float(item.pos[1]), 4), round(float(item.pos[2]), 4)),
    )
