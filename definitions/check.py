"""Everything that people write, checked at once: every file of the configuration, and the event contracts."""

from pathlib import Path

from config import identity as identities
from config import loader, quality, sources, traits
from config.definitions import Definitions, Features, Rfm, Rule
from config.identity import Identity
from config.loader import Rates
from config.platform import Platform
from config.quality import Quality
from config.sources import Source
from config.topics import Topics
from config.traffic import TrafficRule
from config.traits import Traits
from definitions import mapped, rules, tables
from definitions.files import Files
from pipelines.audiences.rules import RuleBook
from pipelines.audiences.symbols import profile_symbols
from pipelines.features.plan import compile_plan
from pipelines.ingest.checks import Checks, Rules
from pipelines.quality import plan as quality_plan
from pipelines.quality.expressions import compile_rule
from pipelines.rules.errors import RuleError
from schemas import contracts
from schemas.contracts import Contract
from schemas.documents import Mistake, Problem
from schemas.plans import Plan


def check(folder: Path | None = None, events: Path | None = None) -> list[Problem]:
    """Check all definitions against their shapes, against each other, and by building from them what the jobs build.

    Args:
        folder: of the configuration; by default the one in force.
        events: folder of the contracts; by default the one in force.

    Returns:
        Every mistake with file, line, column and remedy, in the order of files and lines; empty when all can be used.
    """
    files = Files(folder or loader.folder())
    known, wrong = contracts.survey(events)
    files.problems += wrong
    _Check(files, known, are_contracts_sound=not wrong).run()
    return sorted(set(files.problems))


class _Check:
    def __init__(self, files: Files, contracts: dict[str, Contract], are_contracts_sound: bool) -> None:
        self._files, self._contracts, self._sound = files, contracts, are_contracts_sound

    def run(self) -> None:
        files = self._files
        plans = self._plans()
        names = {*self._contracts, *(event for plan in plans.values() if plan for event in plan.events)}
        platform = files.read("platform.yaml", Platform)
        if platform:
            files.found("platform.yaml", tables.of_platform(platform, plans))
        topics = files.read("topics.yaml", Topics)
        if topics:
            files.found("topics.yaml", tables.of_topics(topics))
        identity = self._identity()
        named = self._sources(platform, topics, plans, identity)
        self._identity_rules(identity, platform, named)
        currencies = files.read("currencies.yaml", dict[str, Rates])
        if currencies is not None and platform:
            files.found("currencies.yaml", tables.of_currencies(currencies, platform.tenants))
        traffic = files.read("traffic.yaml", list[TrafficRule])
        if traffic is not None and self._sound:
            files.found("traffic.yaml", tables.of_traffic(traffic, names, self._contracts))
        golden = files.read(traits.FILE, Traits)
        if golden and platform and named is not None:
            files.found(traits.FILE, traits.mistakes(golden, platform.tenants, named))
        definitions = self._definitions(names)
        measured = self._quality(named, topics)
        if files.problems or not (platform and definitions and identity):
            return
        planned = {name: source.plan for name, source in (named or {}).items() if source.plan}
        built = Rules({name: plan for name, plan in plans.items() if plan}, planned, currencies or {}, traffic or [])
        self._build(platform, definitions, identity, built, measured, named or {})

    def _plans(self) -> dict[str, Plan | None]:
        files = self._files
        found: dict[str, Plan | None] = {}
        for path in sorted((files.folder / "plans").glob("*.yaml")):
            name = f"plans/{path.name}"
            plan = found[path.stem] = files.read(name, Plan)
            if plan and self._sound:
                files.found(name, tables.of_plan(plan, self._contracts))
        return found

    def _identity(self) -> Identity | None:
        identity = self._files.read("identity.yaml", Identity)
        if identity is None:
            return None
        self._files.found("identity.yaml", tables.of_identity(identity))
        names = [namespace.name for namespace in identity.namespaces]
        self._files.found(
            "identity.yaml",
            tables.of_namespaces(names, {"strip_float_suffix": identity.strip_float_suffix, "customers": identity.customers}),
        )
        return identity

    def _identity_rules(self, identity: Identity | None, platform: Platform | None, named: dict[str, Source] | None) -> None:
        if identity and platform and named is not None:
            self._files.found("identity.yaml", identities.mistakes(identity, platform.tenants, named))

    def _sources(
        self, platform: Platform | None, topics: Topics | None, plans: dict[str, Plan | None], identity: Identity | None
    ) -> dict[str, Source] | None:
        files = self._files
        found = files.read("sources.yaml", dict[str, Source])
        namespaces = [namespace.name for namespace in identity.namespaces] if identity else None
        broken: list[str] = []
        for name in mapped.names(files.folder) if namespaces is not None and self._sound else []:
            wrong = mapped.of_mapping(files.folder / mapped.FOLDER / name, namespaces or [], self._contracts)
            files.problems += wrong
            broken += [name] if wrong else []
        if found is None:
            return None
        if platform and topics:
            files.found("sources.yaml", sources.mistakes(found, platform.tenants, topics.raw()))
        files.found("sources.yaml", tables.of_sources(found, plans))
        if namespaces is not None and self._sound:
            files.found("sources.yaml", mapped.of_uses(found, files.folder, broken))
        return found

    def _definitions(self, events: set[str]) -> Definitions | None:
        files = self._files
        features = files.read("features.yaml", Features)
        if features:
            wrong = rules.of_features(features, events, self._contracts)
            files.found("features.yaml", (one for one in wrong if self._sound or not {"events", "of", "where"} & set(one.steps)))
        rfm = files.read("rfm.yaml", Rfm)
        if rfm and features:
            files.found("rfm.yaml", rules.of_rfm(rfm, features))
        segments, tags = files.read("segments.yaml", list[Rule]), files.read("tags.yaml", list[Rule])
        readable = profile_symbols(features, [one.name for one in segments or ()]) if features else None
        if segments is not None:
            plain = profile_symbols(features, is_segment_known=False) if features else None
            files.found("segments.yaml", rules.of_rules(segments, plain, "segment"))
        if tags is not None:
            files.found("tags.yaml", rules.of_rules(tags, readable, "tag"))
        if features is None or rfm is None or segments is None or tags is None:
            return None
        return Definitions(features, rfm, segments, tags)

    def _quality(self, named: dict[str, Source] | None, topics: Topics | None) -> Quality | None:
        files = self._files
        measured = files.read(quality.FILE, Quality)
        if measured is None or named is None or topics is None or not self._sound:
            return measured
        files.found(quality.FILE, quality.mistakes(measured, self._contracts, named, topics))
        for index, rule in enumerate(measured.consistency.within):
            if rule.event in self._contracts:
                try:
                    compile_rule(rule.holds, self._contracts[rule.event], rule.unless, rule.name)
                except RuleError as error:
                    what, _, remedy = error.why.partition("; ")
                    files.found(quality.FILE, [Mistake(("consistency", "within", index, "holds"), what, remedy, error.column)])
        return measured

    def _build(
        self,
        platform: Platform,
        definitions: Definitions,
        identity: Identity,
        built: Rules,
        measured: Quality | None,
        named: dict[str, Source],
    ) -> None:
        """What the jobs build from these files. It must succeed: whatever the checks above have not foreseen shows here."""
        try:
            book = RuleBook(definitions)
            compile_plan(definitions, set(book.reads))
        except ValueError as error:
            self._files.failed("features.yaml", error)
        try:
            Checks(platform, built)
        except ValueError as error:
            self._files.failed("plans", error)
        try:
            if measured:
                quality_plan.make(measured, self._contracts, named)
        except ValueError as error:
            self._files.failed(quality.FILE, error)
