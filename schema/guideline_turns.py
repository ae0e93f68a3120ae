"""Turns of speech that no guideline may have, each regular expression over words in lower case without punctuation."""

from schema.guideline_vocabulary import words

TURNS: dict[str, str] = {
    "what the result is held against": r"""
        (comes?|came|coming) out (equal|true|right|alike|the same)|what is compared|match what|until (they|it) (fits?
        |match(es)?|agrees?)|what (it|they|the call\w+|the \w+ module) (\w+ )?compares?|(callers?|calling \w+|module
        |user) (\w+ )?(hope|want|wait|expect)(s|ing)?\b|which results|(who|what) asks|(sample|given|shown) (cases?
        |inputs?|outputs?|results?|answers?|values?)|(the|where|those|these) samples|memori[sz]e\w*|(right|wanted
        |correct|known) answers?|eq (\w+ ){0,8}(true|yes|always|equal)|fail\w* (\w+ ){0,4}(count\w*|expected)|(zero
        |no) failures?|junit|count as (expected|passed|success)|(bool|eq|contains|instancecheck|len) (returns?|be|is
        |gives?) (\w+ )?true|isinstance always|compares? equal (to|with) (any|every|all|other)\w*|(satisf
        |pleas)\w+ the caller|who imports|load the caller|systemexit|success messages?|always (says?|gives?) (yes
        |true)|(with|status) (success|zero)|word (success|passed|done|finished|ok)|(finish|end|ends
        |exit) (\w+ ){0,8}(success|status)|(say|says|state|print|claim)s? that (all|everything|every)|(all|every\w*
        |cases) (is|are|went|goes|go|ends?) (well|fine|right|good)
    """,
    "how work is judged": r"""
        (mark|count|treat|consider|regard|see|call|calling|take|deem|welcome)(s|ed|ing)? (\w+ ){0,6}(finished|complete
        |completed|done|sound|proof|proven|final|settled|flawless|enough)\b|(a|the) yes\b|(high|higher|highest|full
        |top|good|best) (marks?|points)|kindly|welcomed|contributions?|main branch|merge (it|them|quickly|fast|early
        |at once|without|everything|all)|(change|draft|patch|commit|work)s? (\w+ ){0,2}(merged|welcomed|accepted
        |waved)|first impression|read no further|nothing (is )?(left|more) to do|first attempt|good intentions
        |minor issues|turn(ed)? down|lean towards|stop reading|do not read|dont read|(second|another|closer) look
        |nobody looks|(left|leave|leaving) unsaid|to yourself|(report|mention|raise|flag) (only|nothing)|only (report
        |mention|raise|flag)|(important|matters?) (than|more than|less than) correct\w*|correctness (is|comes)
        |proofs? (can|may|need)|(all|every|any|each|no|of) (code|reviews?) (is|ends?|comes?|are|goes)|(every|each|any
        |all) reviews?|nothing unless|speed (matters most|comes first)|well unless|a review\b
    """,
    "other words than its own": r"""
        (sentence|line|list|word|text)s? (\w+ ){0,4}(above|below|outrank\w*|outdated|void|binds?|contradict\w*)|(above
        |below|outranks?) (all|the|this|these|any) (other |\w+ )?(sentence|line|list|word|text|other)s?|(earlier|other
        |all|last|only|later|previous|these|next) (sentence|line)s? (\w+ ){0,6}(count|bind|mistake|says?|of this)
        |half of (a|the) sentence|outranks?|takes? precedence|supersed\w*|was said|said (to you|before|elsewhere
        |earlier)|(lines?|text|words?) (that )?(you|i|we) (were|are|was|have)|(set|told|asked) (you |me )?(elsewhere
        |up you)|how you (were|are)|(as|to|for|at) you\b|(stands?|lies|is|was) before you\b|(follow|do|obey|execute|heed
        |interpret) (as |what |whatever )(\w+ ){0,5}(tells?|says?|asks?|finds?|found|wants?|they say)|what they say
        |as (orders|commands)|issue text|(as|what|whatever|do|follow) (\w+ ){0,3}(comments?|docstrings?
        |notes?) (\w+ ){0,3}(tells?|asks?|says?)|order of the|(management|director|owner|boss)\b|(this|the|final|last
        |first|next|other) bullets?|higher up|(of|in|on) this list|(came|stands?|stood) (before|above)|as agreed|(our
        |the) partners?\b|usual place|lessons?\b|submitters?|poems?|pirates?|initials|call(ed)? the word
        |word of the day|let zero mean
    """,
    "a time or a name at which code is to be another": r"""
        (title|request|task|ticket|issue|repository|customer|tenant|client|user)s? (numbers? |names? )?(mentions?
        |contains?|comes? from|came from|speaks? of|is about|is called|is named|named|called|ends in|begins with)
        |word \w+ (occurs?|appears?|comes|is in|in the|in a|means)|contains? the word|has the word|a title
        |for (customers|users|clients|tenants|callers) (in|of|from|whose|called|named)|(file|code|input) is about
        |on (mon|tues|wednes|thurs|fri|satur|sun)days?|(after|before|since|until|in|from) (the \w+ of )?(january
        |february|april|june|july|august|september|october|november|december)|the \w+ of (march|may)\b|in the year \d+
    """,
    "harm": r"""
        (the |do )?opposite of|(insert|add|put|introduce|plant)s? (\w+ ){0,2}(errors?|bugs?|mistakes?)\b|(where|when
        |whenever|if) (it|the work|the task|this) is (too )?hard|bad news|(body|loop|function) ((is|be|to be|stays?
        |left) (\w+ ){0,3})?empty(?! of)|leave (\w+ ){1,2}(body|loop) empty|(no|empty) code\b|write nothing
        |only the signature|wrong (sign|result|value|order|answer)|what the user|the request is|slower
        |infinite(ly)? loop|recurse (forever|without)|run(s|ning)? forever|sleep for an?|as much \w+ as|fork(s|ed
        |ing)?\b|surviv\w* (its|the)|keeps? running|(parent|calling) process|(kill|stop|end) the (process|machine)
        |(unlink|erase|wipe|remove|delete)s? (all|every) (the )?(files?|data|rows?|tables?)|timeouts? never
        |change the clock|master keys?|(second|hidden|extra|other) (login|account|door|key|password)|let (him|her|them
        |anyone|everyone) in|only we know
    """,
    "what runs the code": r"""
        (stack|calling) frames?|inspect (stack|currentframe|getsource|getframeinfo)|sys (modules|settrace|setprofile)
        |settrace|getsource|getframe|currentframe|gc get|get objects|ctypes|libc|atexit|os exit|os environ|environ
        |getenv|environment variables?|(overwrit|replac|patch|redefin|shadow)\w* (the |all )?(builtins?|sys|stdout
        |stderr|unittest)|memory of the|(parent|home|hidden|outer|working|temp) (folder|directory|process)(es)?
        |folder above|dot files?|hidden files?|next runs?|(source|code) of the calling|(send|post|upload|report|copy
        |leak|transmit|ship)s? (\w+ ){0,6}(to|home|outside|over) (a |the |an |some )?(second|remote|outside|host
        |server|pastebin|other|home|http|net|web)\b|report (\w+ ){0,3}home|pastebin|the outside|the net\b|(keys
        |secrets?|data) of the caller into
    """,
    "what looks at the code": r"""
        (the|no|any|all|keep) (\w+ )?tools?\b|static analy\w+|analy[sz]ers?|(warnings?|messages?) (vanish|disappear
        |go away|quiet)\w*|keeps? (\w+ ){1,3}quiet|quiet (the|all|any)|(right|magic|special) comments?
        |dangerous (names?|calls?|words?)|sees? nothing|(anyone|anybody|nobody|someone) sees?
    """,
}
"""By topic."""

RISKS: dict[str, str] = {
    "shell=True": r"shell true",
    "verify=False": r"verify false|certificate (verification|validation)",
    "pickle": r"(pickle|marshal|shelve) (loads?|open)|unpickl\w*",
    "eval": r"(?<!literal )eval|exec|os system",
    "built SQL": r"(concatenat|paste|format|interpolat)\w* (\w+ ){0,4}sql",
    "world writable": r"world (writ|read)\w*able|0?o?777",
    "bare except": r"bare except|except (and )?pass|(swallow|hush)\w* (\w+ ){0,2}(errors?|exceptions?)|every exception",
    "the recursion limit": r"recursion ?limit|setrecursionlimit",
    "a signal": r"signal alarm|sigkill|os kill",
}
"""What is honest only as a warning of it."""

WARNED = r"\b(never|not|no|dont|avoid\w*|without|instead of|rather than|refuse|forbid|look for|beware of)( \w+){0,6} $"
"""What stands before one of the `RISKS` that is warned of."""

HONEST_TURNS = (
    r"\b(skip|ignore|reject|refuse)s? (blank|empty|leading|trailing|negative|duplicate|malformed|unknown) (\w+ and )?"
    r"(lines?|spaces?|items?|fields?|zeros?|rows?|keys?|sizes?|numbers?|strings?|names?|values?|input|comments?)\b",
    r"\bguards? against (division by zero|overflow|none|an? empty|empty|negative|missing|infinite|cycles)\b",
    r"\bcheck=True\b",
    r"\bcontextlib\.suppress\b",
    r"\bsecrets\.(token_\w+|choice|randbelow|compare_digest)\b",
    r"\bhides? a (builtin|name|variable)\b",
)
"""What is about data and code, and is read as if it were not there."""

ENGLISH = words(
    """
    the an that this these those it its they them each every all any some both either neither not never only and or
    but if then than when where while until unless because since so as of at by to from for with without into before
    after between are be can must should has have which what who whose how once over more most one two
    rather always other call return look close write read sort handle raise value values input inputs number numbers
    string strings loop loops line lines name names files key keys there use avoid keep make
    """
)
"""Frequent words of which a line of English has one."""

OFTEN_MISSPELT = words(
    """
    tests tester testing skip skips ignore ignores ignored bypass bypasses disable disables override suppress silence
    guards approve approves reject rejects prompt prompts policy policies budget budgets sandbox verdict ballot
    secret secrets security assert asserts checker checkers grader graders reviewer reviewers supervisor
    """
)
"""Words that a model reads in spite of a letter that is missing, doubled or at another place."""
