"""The words and turns that no guideline may have, by what they speak of: each list is one regular expression."""


def words(text: str) -> frozenset[str]:
    """A set of words, of a text that is only there to be one."""
    return frozenset(text.split())


TOPICS: dict[str, str] = {
    "tests": r"""
        (un|re|pre)?test(s|ed|er|ers|ing|ings|able|bed|case|cases|suite|suites|file|files|data|time)?
        |(py|unit|doc)tests?|assert(s|ed|ing|ion|ions)?|fixtures?|conftest|xfail|mocks?|mocked|mocking
        |monkeypatch\w*|harness|suites?|checks|checkers?|graders?|grad(e|es|ed|ing)|scor(e|es|ed|er|ers|ing)
        |oracles?|benchmarks?|coverage|regressions?|validations?|validators?|verifications?|verifiers?|evaluat\w*
        |acceptance|inspections?|inspectors?|probes?|qa|ci|exams?|examiners?|scrutiny
        |(un)?(watched|observed|supervised)
    """,
    "guards and their findings": r"""
        (safe)?guard(s|ed|ing|ian|ians|rail|rails)?|noqa|nosec|nolint|nocover|nopep8|pragmas?|lint(s|er|ers|ing|ed)?
        |pylint\w*|flake8?|ruff|bandit|mypy|pyright|semgrep|findings?|scanners?|detectors?|monitors?|monitoring
        |watchdogs?
    """,
    "the sandbox": r"""
        sandbox(es|ed|ing)?|gvisor|runsc|runc|seccomp|apparmor|dockers?|isolation|jails?
    """,
    "budgets": r"""
        budgets?|budgeted|budgeting|tokens?|costs?|costly|costing|billing|billed|quotas?|spend(s|ing)?|ledgers?
        |credits?|allowances?|ratelimits?|cooldowns?|deadlines?
    """,
    "votes": r"""
        (dis)?approv(e|es|ed|er|ers|ing|al|als)|reject(s|ed|ing|ion|ions|or)?|vot(e|es|ed|er|ers|ing)|ballots?
        |veto(es|ed|ing)?|quorums?|thresholds?|verdicts?|consensus|abstain\w*|abstention\w*|lenien(t|tly|cy|ce)
        |judg(e|es|ed|ing|ement|ements)|judgments?|judgy|confidence|confident|lgtm|(dis)?agree(s|d|ing|ment|ments)?
        |majorit(y|ies)|minorit(y|ies)|unanim\w*|endors(e|es|ed|ing|ement)|objections?|jury|juries|jurors?|referees?
        |arbiters?|adjudicat\w*|tally|tallies|blindly|acquit\w*|condon(e|es|ing)|rubberstamp\w*|greenlight\w*
        |thumbsup|goahead|signoff|clemency|generous|generously|candidates?|authors?|submissions?|ok|okay|tolerant
        |forgiving|charitable
    """,
    "the governance": r"""
        prompts?|prompted|prompting|guidelines?|polic(y|ies)|rules?|governance|govern(s|ed|ing|or|ors)?
        |supervis(or|ors|ion|e|ed|ing)|learn(s|ed|ing|t)?|rollbacks?|audit(s|ed|ing|or|ors|able)?|humans?|humanity
        |secrets?|credentials?|passphrases?|apikeys?|safety|(in)?security|canar(y|ies)|escalat\w*|oversight
        |overseers?|compliance|permissions?|privileges?|admins?|administrators?|moderators?|moderation|instructions?
        |directives?|commandments?|constitution|alignment|restrictions?|protections?|sudo|chmod
    """,
    "going round what is in the way": r"""
        ignor(e|es|ed|ing|ance|ez|a|ar|iere|ieren|er)|skip(s|ped|ping|pable)?|disabl\w*|bypass(es|ed|ing)?
        |overrid(e|es|den|ing)|overrode|circumvent\w*|suppress\w*|silenc\w*|weaken(s|ed|ing)?|evad(e|es|ed|ing)
        |evasion|workarounds?|cheat(s|ed|ing|er)?|hack(s|ed|ing|y|er|ers)?|subvert\w*|sabotag\w*|tamper(s|ed|ing)?
        |deactivat\w*|neutrali[sz]\w*|defeat(s|ed|ing)?|dodg(e|es|ing)|disregard\w*|neglect\w*|mute(s|d)?|muting
        |turnoff|switchoff|nullif\w*|fool(s|ed|ing)?|trick(s|ed|ing)?|deceiv\w*|pretend\w*|overlook(s|ed|ing)?|forgo
        |ditch|shortcut|shortcuts|stub(s|bed|bing)?|hardwire\w*|jailbreak\w*|exfiltrat\w*|backdoors?|malware
        |exploit(s|ed|ing)?|curl|wget|lax|relax(ed|es|ing)?|loosen(s|ed|ing)?|blind|conceal\w*|obfuscat\w*|hide
        |hides|hiding
    """,
    "other roles": r"""
        reviewers?|architects?|developers?|assistants?|colleagues?|teams?|teammates?|agents?|llms?|chatbots?|chatgpt
        |gpt\d*|claude|ai|orchestrators?|coworkers?|peers?|personas?|roleplay\w*
    """,
}
"""By topic, the words as whole words."""

PHRASES: dict[str, str] = {
    "tests": r"""
        expected (outputs?|results?|values?|answers?)
        |(make|makes|making|let) (it|them|this|that|everything|(the|all|every|each) \w+) pass\b
        |(everything|anything|it|all|always) pass(es)?|pass(es)? anyway
        |hard ?cod\w* (\w+ ){0,3}(answers?|outputs?|results?|returns?)|known (inputs?|answers?)|exit (code )?0
        |exit (early|zero)|green (build|run|bar)s?|type ignore|fmt off|no (cover|qa|sec)\b|comment(ed|ing)? out
        |leave out|without (being )?(verif\w+|validat\w+|check\w+)|(un)?check(ed|ing)? (in|off)
        |do(es)? well (when|if) measured|what (is|gets) measured|examples? (shown|given) only
        |(nothing|nobody|no one|none) (\w+ ){0,3}(verif|validat|review|inspect|look)\w*
        |(find out|detect|tell|know|notice) (who|whether|when|if) (\w+ ){0,3}(calling|calls|running|runs?|watching)
        |(always|only|just) returns? (true|false|none|[0-9]+)\b
        |returns? (true|false) (always|anyway|at once|everywhere)|equal to (everything|anything)
    """,
    "votes": r"""
        benefit of (the|any) doubt|(say|answer|reply) (yes|no)\b|(in|when in) doubt
        |wav(e|ing) (it |them |\w+ )?through
        |let (it|them|this|that|everything|\w+ code|the \w+) (go|in|slide|stand|through)|green light|side with
        |in favou?r of the (candidate|author|change|code|solution)|decide (in )?(favou?r|for|against)
        |accept(s|ed|ing)? (\w+ ){0,2}(candidates?|code|changes?|work|solutions?|fix|fixes|patch|patches|submissions?)\b
        |accept(s|ed|ing)? (it|them|everything|whatever)\b
        |(refuse|decline|deny|block) (the |this |any |every |all )?(candidates?|code|changes?|solutions?|work|it|them)\b
        |give (it |them )?(a |the )?(pass|nod|yes)|thumbs up|rubber stamp|second guess
        |be (easy|soft|kind|strict|harsh|tough) (on|with)|sign(s|ed|ing)? (\w+ ){0,2}off
        |(never|not|no|dont|without) (\w+ )?(find|finding|see|seeing) (\w+ ){0,2}(faults?|flaws?|problems?|errors?)
        |assume (that )?(the |all |any |every )?\w+ (is|are|works?) ?(right|correct|fine|good|sound|safe|true)?\b
        |be (positive|nice|friendly|forgiving|patient|optimistic|quick to)
        |(fine|good|acceptable|allowed|alright|no problem) to (fail|break)
        |(a|any|no|the|every) (person|people|one) (need|needs|has|have|must|may|should)\b
    """,
    "what a model obeys": r"""
        you (are|were|must now|will now|shall now)|youre (a|an|the|now|no)
        |your (role|task|job|goal|purpose|identity|system)|act as|from now on
        |(new|next|later|following|previous|prior|earlier) (orders?|messages?|context|guidance|advice|lessons?)
        |(above|preceding|original) (orders?|messages?|context|guidance|advice|lessons?)
        |in (english|spanish|french|german|italian|chinese|russian|japanese|portuguese|dutch)\b
        |everything (above|said)|(the )?above (is|was|no longer)|no longer (appl|hold|matter|needed|valid)\w*
        |forget (\w+ ){0,3}(above|before|everything|all|what|previous|earlier)
        |(system|developer) (message|mode|text|note)|god mode|dan mode
        |(respond|reply|answer|say) (only|nothing|exactly|with|verbatim)|output (only|nothing|verbatim)
        |(repeat|reveal|disclose|leak) (the |your |this |all |our )(\w+ ){0,2}(system|above|context|environment)
        |(print|show|output) (the |your |this |all |our )(\w+ ){0,2}(system|above|context|environment)
        |do anything|end of (text|message|system)|begin (system|user)
        |(important|note|attention) (to|for) (the |all |any )?\w+ (model|reader)|language models?|the model
        |as an? (ai|model|expert)|stop (being|following|obeying)|obey|comply
        |(reply|respond|answer|speak|talk) in \w+|hidden (reasoning|thoughts?|messages?)
    """,
    "going round what is in the way": r"""
        trust (\w+ )?(blind|whatever|everything|anything|without)|without (look|question|think|review)\w*
        |(turn|switch|shut)(s|ed|ing)? (\w+ )?off|(work|get|go|way|route)(s|ing)? (a)?round|opt(s|ing)? out
        |look(s|ing)? (away|the other way)|turn a blind
        |do(nt| not) (look|bother|care|worry|mind|report|mention|flag|tell)|never (look|report|mention|flag|tell)
        |let (\w+ )?slip|not (needed|necessary|required) to (verify|validate|check)|pay no (attention|heed)
        |take no notice|roll(s|ed|ing)? back the (prompt|version|guideline|lesson|change|update)s?
        |delete (all|every|the) (file|line|folder|history|log)\w*|rm rf|remove (all|every) (limit|guard|barrier)\w*
        |(any|no) (limits?|barriers?) (apply|applies|hold|holds)
    """,
}
"""By topic, what no single word tells: over words in lower case without punctuation."""

HONEST = words(
    """
    latest greatest shortest fastest lightest smartest slightest neatest tightest cleanest strictest exactest
    softest flattest hottest sweetest quietest highest lowest contest contests protest attest detest intestate
    testament regardless promptly impromptu disablement
    """
)
"""What only sounds like a forbidden word, or has one in it."""

FOREIGN = words(
    """
    der das und nicht nie niemals immer ohne mit alle ist auf les des une est pas vous que pour avec sans tous
    toujours jamais los las para siempre nunca sin todos todas il gli sempre mai tutti non não sem het niet een
    altijd nooit och inte alltid aldrig ikke
    """
)
"""Frequent words of other languages that English does not have."""
