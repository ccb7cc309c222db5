"""What must not be kept of a text, and how it is taken out: the one set of rules for the hook, for ingest and for log lines.

    mask(text)          free text: credentials and personal data become <secret>, <email>, <user>, …
    mask_name(text, …)  ids, project names and paths, which must stay distinct: only what has an unmistakable shape is replaced

The standard library alone, for `detektor-hook` loads this file without the package. Each rule has `gates`: words of which one must stand in the
text (lower case) before the rule is even compiled; ordinary text costs a search for these words and nothing else. Each pattern is linear: it
begins where a run of its characters begins (a lookbehind), takes runs whole (`++`), and every other repeat is bounded. Long words are not
matched by patterns but looked at one by one (`_word`): which prefix, which kinds of characters, how often they change.

Ids that are drawn at random (`toolu_…`, `call_…`, UUIDs) and hashes are nobody's secret and stay.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False  # importing typing would take a hook as long as all the rest
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

SECRET: Final = "<secret>"
EMAIL: Final = "<email>"
USER: Final = "<user>"
LIMIT: Final = 65_536
"""Characters of a text that are looked at: twice what a record may carry. It bounds the work, whatever the text is."""


class Rule:
    """One kind of thing that is masked.

    Attributes:
        name: What it is.
        gates: Groups of words; of each group one must stand in the text's lower case, else the rule is skipped.
        pattern: Where it stands.
        put: What stands in its place, or a function of the match and the text that says so, None to leave it.
        folded: The pattern is for the text in lower case.
        named: Also looked for in ids, names of projects and paths.
        upto: The group where what is replaced ends, when the pattern only looks ahead at it: what is none may begin the next match.

    """

    __slots__ = ("folded", "gates", "name", "named", "pattern", "put", "upto")

    def __init__(
        self,
        name: str,
        gates: tuple[tuple[str, ...], ...],
        pattern: str,
        put: str | Callable[[re.Match[str], str], str | None],
        *,
        folded: bool = False,
        named: bool = False,
        upto: str | int = 0,
    ) -> None:
        self.name = name
        self.gates = tuple(sorted(gates, key=len))  # what is the quickest to ask first
        self.pattern = pattern
        self.put = put
        self.folded = folded
        self.named = named
        self.upto = upto


# Judging -------------------------------------------------------------------------------------------------------------------------

_PREFIXES: Final = tuple(
    "AKIA ASIA ABIA ACCA AIza GOCSPX- ya29. ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- glptt- gldt- glrt- glcbt- glsoat- glft- glagent- "
    "xoxa- xoxb- xoxc- xoxd- xoxe- xoxo- xoxp- xoxr- xoxs- xapp- xwfp- sk_live_ sk_test_ rk_live_ rk_test_ pk_live_ pk_test_ whsec_ npm_ "
    "pypi- sk-proj- sk-ant- sk-svcacct- sk-or- hf_ api_org_ r8_ gsk_ xai- pplx- SG. dop_v1_ doo_v1_ dor_v1_ dapi shpat_ shpca_ shppa_ "
    "shpss_ hvs. hvb. hvr. AGE-SECRET-KEY- sq0atp- sq0csp- EAACEdEose0cBA PMAK- lin_api_ ntn_ secret_ figd_ rdme_ pul- dckr_pat_ dckr_oat_ "
    "NRAK- NRJS- NRII- glc_ glsa_ sntrys_ sntryu_ dp.pt. dp.st. dp.ct. dt0c01. fo1_ fm1_ fm2_ ATATT3 ATCTT3 ATBB LTAI rubygems_ CFPAT- nfp_ "
    "phc_ phx_ sbp_ sb_secret_ re_ xkeysib- xsmtpsib- mlsn. oy2 ops_eyJ tskey- waka_ bkua_ CCIPAT_ AKCp pat-na1- pat-eu1- patch_ cmVmdGtu "
    "tfp_ cio_ key- sk- pk- rk- sk_ pk_ rk_ eyJ EAA dG9rOg doppler_ vercel_ okta_ ion_ jina_ tvly- fc- nvapi- esh_ whs_ rnd_ sgp_ PRIVATE- "
    "apify_api_ A3T AROA AIDA ICA flb_ FLWSECK FLWPUBK asst- ddp_ keytab_ dsapi_ sl. secret-token: v1.0- lsv2_pt_ lsv2_sk_ pscale_tkn_ "
    "pscale_oauth_ pscale_pw_ scauth_ duffel_test_ duffel_live_ fio-u- p8e- CLOJARS_ EZAK EZTK xoxe. s-s4t2 GR1348941 glffct- glimt- sm_aat_ sm_pat_ "
    "sm_sat_ AGE-PLUGIN- squ_ sqp_ sqa_ fw_ y0_ syt_ amzn.mws. access-production- access-sandbox- access-development- sk_prod_ rk_prod_ HRKU- shippo_live_ shippo_test_ DO00".split()
)
"""How keys of well-known services begin. What follows must look drawn at random: a digit and eight characters at least."""

_ALSO_NAMES: Final = frozenset("sk- pk- rk- sk_ pk_ rk_ re_ fc- fw_ sl. ICA ion_ esh_ whs_ key- secret_".split())
"""Of these: also how names of one's own begin."""

_IDS: Final = tuple(
    (
        "toolu_ srvtoolu_ call_ msg_ req_ resp_ ws_ chatcmpl- chatcmpl_ fc_ rs_ run_ thread_ asst_ item_ sess_ session_ agent_ task_ step_ "
        "ctc_ ci_ cu_ mcp_ mcpl_ mcpr_ ig_ conv_ evt_ event_ org_ file_ file- batch_ vs_ gen_ cmpl- tool_ functions. sha1- sha256- sha384- sha512- sha256: h1: user- "
        "I_kw IC_kw PR_kw PRR_kw PRRC_kw PRRT_kw C_kw D_kw R_kg U_kg O_kg MDQ6 MDU6 MDEw MDEx MDEy"
    ).split()
)
"""How ids begin that are drawn at random and open nothing."""
_HASHES: Final = ("sha1-", "sha256-", "sha384-", "sha512-", "h1:")

_ABOUT_SECRETS: Final = tuple(
    "key token secret passw passphrase credential auth bearer pwd login haslo hasło kennwort api sign seed salt webhook hook "
    "private cookie sas decrypt encrypt otp".split()
)
_ABOUT_HASHES: Final = tuple(
    "sha md5 hash digest checksum commit etag integrity rev trace blob tree uuid index object parent merge ref git head image "
    "layer span id build cache fingerprint".split()
)

_WORD_START: Final = 16
_CONTEXT: Final = 32
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_DIGITS: Final = frozenset("0123456789")
_BASE32: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
_SEPARATORS: Final = re.compile("[-_.~]")
_PARTS: Final = re.compile("[^/=:]+")
_SHAPES: Final = re.compile(
    r"pat\w{14}\.[0-9a-f]{64}|A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}|md5[0-9a-f]{32}"
    r"|(?:api|key|mob|pk|sdk|secret|sk|token)[-_](?:[a-z]{1,4}[-_])?(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,})"
    r"|[0-9a-f]{32}-(?:us|eu)\d{1,2}"
)
"""Of Airtable, of 1Password, PostgreSQL's of a password, Mailchimp's, and a word for a key before an id: told by nothing but their whole shape."""


_TAX_CODE: Final = re.compile(r"[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]")
"""Of a person in Italy."""


def _changes(word: str) -> float:
    """Share of neighbours of another kind (upper, lower, digit): 0.62 of random letters and digits, 0.3 at most of names."""
    kinds = [1 if "a" <= sign <= "z" else 2 if "A" <= sign <= "Z" else 3 for sign in word]
    return sum(map(int.__ne__, kinds, kinds[1:])) / max(1, len(kinds) - 1)


_PAIRS: Final = frozenset(
    "ab ac ad ag ai al am an ap ar as at ba bc bl br ca ce ch ck cl cm co cr ct da de di do ds ea ec ed ee ef eg el em en ep er es et ev ew ex "
    "fa fi fo fu ge gi ha he hi ho ic id ie ig il im in io ir is it je ke la ld le li ll lo lu ly ma md me mi mm mo mp na nc nd ne ng ni no ns "
    "nt nv oc od oi oj ok ol om on oo op or os ot ou ow pa pe pl po pr pt pu ra re ri rk rn ro rr rs rt ru ry sa sc se sh si so ss st su ta te "
    "th ti to tp tr ts tt tu ty ul un up ur us ut va ve wi wo".split()
)
"""Pairs of letters that words and names in code are made of: five pairs in six are of these, and of letters drawn at random one in four."""


def _is_disordered(word: str, least: float) -> bool:
    """Whether letters and digits are this far from words: drawn at random 0.5 of both cases, 0.3 of one; names in code are below 0.1."""
    changes = _changes(word)
    if changes < least:
        return False
    small = word.lower()
    pairs = [two for two in map(str.__add__, small, small[1:]) if two.isalpha()]
    return changes - sum(map(_PAIRS.__contains__, pairs)) / (2 * max(1, len(pairs))) >= least


def _is_drawn(part: str, *, about: bool) -> bool:
    """Whether a word is drawn at random; one that stands beside a word about secrets (`about`) may be shorter and plainer."""
    part = part[:512]
    plain = _SEPARATORS.sub("", part)
    apart = len(part) - len(plain)
    if len(plain) < _WORD_START or apart * 6 > len(part):
        return False
    digits = sum(map(_DIGITS.__contains__, plain))
    if apart * 10 > len(part):  # as many names have; a base64url has them by chance
        return 2 <= digits < len(plain) and plain.lower() != plain != plain.upper() and _is_disordered(plain, 0.3)
    if plain.lower() == plain or plain.upper() == plain:  # of one case: as many words of code are, and ids
        last = part[max(map(part.rfind, "-_.~")) + 1 :]
        if about and plain == part and len(part) >= 24 and _BASE32.issuperset(part) and digits >= 2:
            return True
        long = (
            len(plain) >= (_WORD_START if plain.isupper() else 20)
            if about
            else len(plain) >= 28 and apart <= 1 and not _HEX.issuperset(last)
        )
        return long and 2 <= digits < len(plain) and _is_disordered(plain, 0 if about else 0.05)
    if not digits:
        return len(plain) >= (20 if about else 28) and _is_disordered(plain, 0.1 if about else 0.2)
    return _is_disordered(plain, 0.15 if about or len(plain) >= 20 else 0.4)


def _is_uuid(part: str) -> bool:
    return len(part) == 36 and part.count("-") == 4 and _HEX.issuperset(part.replace("-", ""))


def _follows_prefix(part: str) -> bool:
    """Whether a part begins as a service's keys do, and goes on as a key and not as a name."""
    if not part.startswith(_PREFIXES):
        return False
    if part.startswith(("eyJ", "AGE-SECRET-KEY-1")):
        return len(part) >= 17
    prefix = max((each for each in _PREFIXES if part.startswith(each)), key=len)
    rest = part[len(prefix) : len(prefix) + 256]
    if len(prefix) < 5 and prefix[-1:] not in "_-.":
        drawn = any(sign in _DIGITS for sign in rest) or (rest.isalnum() and (rest.isupper() or _is_disordered(rest, 0.1)))
        return len(rest) >= 16 and drawn and (prefix not in {"EAA", "A3T", "ICA"} or len(rest) >= 40)
    if len(rest) < 8:
        return False
    digits = sum(map(_DIGITS.__contains__, rest))
    if prefix in _ALSO_NAMES:
        return digits >= 2 and len(rest) >= 16 and rest.count("-") + rest.count("_") <= len(rest) // 8
    return digits > 0 or (len(rest) >= 16 and rest.lower() != rest != rest.upper())


def _before(text: str, start: int) -> str:
    return text[max(0, start - _CONTEXT) : start].lower()


def _is_secret_part(part: str, before: str) -> bool:
    """Whether one part of a long word is a key; `before` is what stood in front of it, in lower case."""
    if part.startswith(_IDS) or _is_uuid(part):
        return False
    if _follows_prefix(part):
        return True
    about = any(word in before for word in _ABOUT_SECRETS)
    if len(part) >= 32 and _HEX.issuperset(part):
        return (about and not part.isdigit()) or (
            len(part) != 40 and not part.isdigit() and not any(word in before.rpartition(",")[2] for word in _ABOUT_HASHES)
        )
    if len(part) in {34, 38} and part[:2] in {"SK", "AC"} and _HEX.issuperset(part[2:]):
        return True
    return _is_drawn(part, about=about)


def _is_vehicle(said: str) -> bool:
    """Whether it is a car's number: with the sum that America asks for in the ninth place, or begun as German makers do."""
    if len(said) != 17 or not said[-4:].isdigit() or any(sign in "IOQ" for sign in said):
        return False
    values = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "12345678123457923456789"), strict=True))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    total = sum(weight * (int(sign) if sign in _DIGITS else values.get(sign, 0)) for sign, weight in zip(said, weights, strict=True)) % 11
    return said[3:6] == "ZZZ" or said[8] == ("X" if total == 10 else str(total))


def _is_called_secret(after: str) -> bool:
    """Whether what stands after a word says what it is: `… is the key of`."""
    after = after.lower().lstrip("\"'`")
    return after.startswith((" is ", " was ", " as ")) and any(
        f" {word}" in after for word in ("key", "token", "secret", "passw", "credential")
    )


def _word(match: re.Match[str], text: str) -> str | None:
    """A long word: a key, a path with a key in it, or nothing of that kind."""
    word = match[0]
    before = _before(text, match.start()) + (" key" if _is_called_secret(text[match.end() : match.end() + _CONTEXT]) else "")
    if word.startswith(_HASHES) or before.endswith(_HASHES):
        return None
    if len(word) >= 20 and ("/" in word or "+" in word) and _is_base64(word, before):
        return SECRET
    if (word.startswith("eyJ") and "." in word) or _SHAPES.fullmatch(word):
        return SECRET
    if len(word) in {16, 17} and word.isupper() and word.isalnum() and (_TAX_CODE.fullmatch(word) or _is_vehicle(word)):
        return "<id-number>"
    if "atlasv1" in word or (word.count(".") == 2 and len(word) >= 50 and _is_drawn(word.replace(".", ""), about=False)):
        return SECRET
    if "/" not in word and "=" not in word:
        return SECRET if _is_secret_part(word.rstrip("."), before) else None
    pieces: list[str] = []
    end = 0
    for part in _PARTS.finditer(word):
        if len(part[0]) >= _WORD_START and _is_secret_part(
            part[0].rstrip("."), before + word[max(0, part.start() - _CONTEXT) : part.start()].lower()
        ):
            pieces += [word[end : part.start()], SECRET]
            end = part.end()
    return "".join([*pieces, word[end:]]) if pieces else None


def _is_base64(word: str, before: str) -> bool:
    """Base64 in one piece: few slashes, and between them what is drawn at random. A path has many, or words between them."""
    plain = word.rstrip("=")
    if "-" in plain or "_" in plain or "." in plain or plain[0] in "/." or "=" in plain:
        return False
    if plain.count("/") * 12 > len(plain) + 12:
        return False
    drawn = plain.replace("/", "").replace("+", "")
    if len(drawn) < 36 and (_DIGITS.isdisjoint(drawn) or not _is_disordered(drawn, 0.35)):
        return False
    return _is_drawn(drawn, about=any(each in before for each in _ABOUT_SECRETS))


_PLACEHOLDERS: Final = frozenset(
    "string str none null nil true false required optional undefined any bool bytes int number text password passwd secret token value "
    "changeme example xxx xxxx xxxxx xxxxxx redacted hidden masked test type prompt input unknown empty missing field default process file "
    "self this that with from and not the for has was you your must should will can invalid valid wrong correct incorrect expired".split()
)
_CODE: Final = ("(", "[", "{", "<", "$", "%", "*", "…", "...", "/", "\\")


def _is_told(value: str, *, strong: bool, quoted: bool, upper: bool = False, secret: bool = False) -> bool:
    """Whether what was assigned to a telling name, perhaps one in capitals (`upper`) or one that is `secret`, is a value and not code, a type or a placeholder."""
    bare = value.strip("\"'`.,;:!?)( ").casefold()
    if len(bare) < 4 or bare in _PLACEHOLDERS or value.startswith(_CODE) or not bare.strip("*x.•-_"):
        return False
    digits = sum(map(_DIGITS.__contains__, value[:256]))
    if not digits and (bare.startswith("your") or bare.endswith("here")):
        return False
    if not digits and "_" in bare and bare.isidentifier() and any(each in bare for each in ("pass", "pwd", "secret", "token", "key")):
        return False  # a variable's name
    if not strong and not quoted and upper and not digits and len(value) >= 8 and "-" in value and value.replace("-", "").isalpha():
        return True
    if not quoted and any(sign in value for sign in "([{"):
        return strong and digits > 0 and value.count("(") == 0
    if strong:
        plain = value.replace(".", "").replace("_", "")
        is_name = not digits and (plain.isalpha() or "." in value) and not quoted
        return not (is_name and (("." in value) or (plain == plain.lower() and not quoted and len(value) < 4)))
    if digits == len(value):
        return len(value) >= 12
    if digits:
        return len(value) >= 6 and not (not quoted and "." in value and value.replace(".", "").isidentifier() and digits < 3)
    if quoted and secret and 12 <= len(value) <= 64 and value.replace(" ", "").isalpha() and value == value.lower():
        return _COMMON.isdisjoint(value.split())
    return len(value) >= 16 and (_changes(value) > 0.2 or quoted) and " " not in value and "." not in value and "_" not in value


_STRONG: Final = (
    "mot de passe|password|passcode|passwd|passwort|passphrase|kennwort|wachtwoord|has[lł](?:o|em|a)|contraseña|contrasena|senha|пароль|lösenord|heslo|parola"
    "|パスワード|密码|密碼|비밀번호|sekret|geheimnis|salasana|jelszó|şifre|adgangskode"
)


_KEYS: Final = ("api_key", "api-key", "apikey", "access_key", "access-key", "private_key", "secret_key")


_ABOUT_PASSWORDS: Final = "policy type mode field column rule strength hint label name prompt manager provider expir ttl format regex pattern message error".split()
"""What makes a name that begins as a password's the name of something else."""


def _assigned(match: re.Match[str], text: str) -> str | None:
    """`name = value`: the value goes, when it is one."""
    start, end = match.span("value")
    value = text[start:end]
    quote = match["quote"] or ""
    name = text[match.start() : match.start("sign")].lower()
    strong = match["strong"] is not None and not any(each in match["rest"] for each in _ABOUT_PASSWORDS)
    if value.startswith(SECRET) or (not strong and name.rstrip("\"'\\ ").endswith(("tokens", "token_count", "tokens_used", "_id", "id"))):
        return None
    if quote and text[match.start() - 1 : match.start()] == quote and quote not in match["sign"]:  # "password:" ends there
        return None
    named = bool(quote) and len(value) >= 6 and value.isalnum() and name.rstrip("\"'\\ ").endswith(_KEYS) and value not in _PLACEHOLDERS
    if not named and not _is_told(
        value,
        strong=strong,
        quoted=bool(quote),
        upper=text[match.start("sign") - 1].isupper() and "=" in match["sign"],
        secret=name.startswith("secret") and not match["rest"],
    ):
        return None
    if not quote and ((not strong and value.isalpha() and value.lower() == value) or (value[0] == "!" and value[1:].isalpha())):
        return None  # a word, a tag of YAML
    if text[match.start() : match.start() + 5] == "PASS:":  # what test runners print
        return None
    if match["strong"] == "pass" and text[match.start() - 1 : match.start()] == " " and value.isalpha():  # "if tests pass: continue"
        return None
    kept = text[match.start() : start]
    tail = "" if quote else _tail(value)
    return f"{kept}{SECRET}{tail}"


def _tail(value: str) -> str:
    """What ends an unquoted value without being of it."""
    plain = value.rstrip(".:!?)]}>\\")
    return value[len(plain) :]


def _flag(match: re.Match[str], text: str) -> str | None:
    start, end = match.span("value")
    value = text[start:end]
    strong = "pass" in match[0][: start - match.start()] or "pwd" in match[0][: start - match.start()]
    if value.startswith(("-", "<")) or not _is_told(value, strong=strong, quoted=match["quote"] is not None):
        return None
    if strong and value.isalpha() and value == value.lower() and len(value) < 6:
        return None
    return f"{text[match.start() : start]}{SECRET}"


def _short_flag(match: re.Match[str], text: str) -> str | None:
    start, end = match.span("value")
    value = text[start:end]
    if value.startswith(("-", "<", "$")) or len(value.strip("\"'")) < 4 or value.isdigit():
        return None
    return f"{text[match.start() : start]}{SECRET}"


def _pair(match: re.Match[str], text: str) -> str | None:
    start, end = match.span("value")
    value = text[start:end]
    return None if value.isdigit() or value.startswith(("$", "<", "/")) else f"{text[match.start() : start]}{SECRET}"


def _scheme(match: re.Match[str], text: str) -> str | None:
    start, end = match.span("value")
    value = text[start:end]
    if "authorization" not in _before(text, match.start()) and not (
        any(sign in _DIGITS for sign in value) or value.endswith("=") or (len(value) >= 16 and value[1:].lower() != value[1:])
    ):
        return None
    return f"{text[match.start() : start]}{SECRET}"


_TELLING: Final = tuple(
    "pass pwd kennwort wachtwoord haslo hasło contrase senha secret token session cookie authorization api_key api-key apikey auth_key "
    "access_key private_key".split()
)


def _without(match: re.Match[str], text: str, group: str | int) -> str:
    """Return what was matched, with a mask in the place of one of its groups."""
    start, end = match.span(group)
    return f"{text[match.start() : start]}{SECRET}{text[end : match.end()]}"


def _argument(match: re.Match[str], text: str) -> str | None:
    """What a call or an element is given as a password: the last group that matched, where its name says so."""
    name = match["name"] if "name" in match.re.groupindex else None
    if name is not None and not any(word in name for word in _TELLING):
        return None
    group = match.lastindex or 0
    value = text[slice(*match.span(group))]
    sure = name is not None and ("passw" in name or "passphrase" in name or "pwd" in name or name.endswith("pass"))
    if not _is_told(value, strong=True, quoted=True) or (not sure and _DIGITS.isdisjoint(value)):
        return None
    return _without(match, text, group)


_COLUMNS: Final = ("passw", "passphrase", "passcode", "pwd", "kennwort", "haslo", "hasło", "contrase", "senha")
_WEAK_COLUMNS: Final = ("secret", "token", "api_key")


def _columns(match: re.Match[str], text: str) -> str | None:
    """A table, or what is inserted into one: the fields in columns for passwords."""
    head, rows = ("head", "rows") if match["head"] else ("columns", "row")
    between = next((sign for sign in match[head] if sign in ",;|\t"), ",")
    names = match[head].split(between)
    strong = {place: any(word in name for word in _COLUMNS) for place, name in enumerate(names)}
    telling = [place for place, name in enumerate(names) if strong[place] or any(word in name for word in _WEAK_COLUMNS)]
    if not telling:
        return None
    lines = text[match.start(rows) : match.end(rows)].split("\n")
    for at, fields in enumerate(line.split(between) for line in lines):
        for place in telling if len(fields) == len(names) else ():
            value = fields[place].strip(" \"'`")
            if _is_told(value, strong=strong[place], quoted=True):
                fields[place] = fields[place].replace(value, SECRET)
        lines[at] = between.join(fields)
    return text[match.start() : match.start(rows)] + "\n".join(lines)


def _operand(match: re.Match[str], text: str) -> str | None:
    """What a command or a statement takes for a password and for nothing else: the group that matched."""
    group = match.lastindex or 0
    value = text[slice(*match.span(group))]
    doubtful = match[0].endswith(("gpg", "openssl", "base64", "kinit"))
    if not _is_told(value, strong=True, quoted=True) or (doubtful and _DIGITS.isdisjoint(value)):
        return None
    return _without(match, text, group)


_NO_PASSWORDS: Final = frozenset(
    "sha224 sha256 sha384 sha512 base32 base64 base58 utf16 utf32 x509 int16 int32 int64 uint32 uint64 float32 float64 pbkdf2 argon2 argon2id bcrypt "
    "scrypt oauth2 ed25519 aes128 aes256".split()
)


def _near(match: re.Match[str], text: str, least: int = 2) -> str | None:
    """A word made of letters and some digits (`least`; one, if there are signs too), soon after a word for a password."""
    start, end = match.span("value")
    value = text[start:end]
    digits = sum(map(_DIGITS.__contains__, value))
    plain = value.replace("-", "").replace("_", "")
    if not (least if plain.isalnum() else 1) <= digits < len(value) or value.lower() in _NO_PASSWORDS or not any(map(str.isalpha, value)):
        return None
    if text[match.start() : match.start() + 5] == "PASS:":  # what test runners print
        return None
    if "_" in value and value.lower() == value and plain.isalnum():  # a name of code
        return None
    return f"{text[match.start() : start]}{SECRET}"


def _surely_near(match: re.Match[str], text: str) -> str | None:
    """The same where nothing else stands: one digit is enough."""
    return _near(match, text, 1)


def _digits(match: re.Match[str], text: str) -> str:
    return _without(match, text, "value")


def _in_query(match: re.Match[str], text: str) -> str | None:
    start, end = match.span("value")
    value = text[start:end]
    return f"{text[match.start() : start]}{SECRET}" if len(value) >= 16 or any(sign in _DIGITS for sign in value) else None


_DESCRIBING: Final = {
    "is": ("ed", "ing", "able", "ible", "al", "ive", "ent", "ant", "ory", "ary", "ly", "ful", "less", "ic", "ous", "en"),
    "ist": ("ig", "ich", "isch", "bar", "en", "et", "zt", "te", "st"),
    "jest": ("ne", "we", "łe", "te", "sze", "cie", "że", "kie"),
}
"""How words end that say what a password is like, by the verb."""

_DESCRIPTIONS: Final = frozenset(
    "wrong correct incorrect valid invalid empty strong hidden secret private public absent random common simple similar visible unique secure "
    "insecure plain plaintext unsafe unknown unset always never again still there where something nothing anything everything someone another "
    "longer shorter because before after about above below under between within without inside outside during against theirs yours falsch "
    "unsicher sicher zuletzt nicht puste tutaj tylko already elsewhere enough obsolete obscure "
    "immutable complete incomplete intact identical sensitive intended".split()
)


def _is_noun(match: re.Match[str], text: str, bare: str) -> bool:
    """Whether a sentence that says what a password is ends with this word, and the word is no description."""
    end = match.start("value") + len(bare)
    return (
        match["is"] is not None
        and len(bare) >= 6
        and bare.isalpha()
        and bare == bare.lower()
        and text[end : end + 2].strip(".,!;\"')") in {"", "\n"}
        and not bare.endswith(_DESCRIBING.get(match["is"], _DESCRIBING["is"]))
        and bare not in _DESCRIPTIONS
        and bare not in _PLACEHOLDERS
    )


def _said(match: re.Match[str], text: str) -> str | None:
    """`the password is X`: X, when no word of prose looks like it."""
    start, end = match.span("value")
    value = text[start:end]
    tail = _tail(value)
    bare = value[: len(value) - len(tail)] if tail else value
    odd = (
        any(sign in _DIGITS for sign in bare)
        or _is_noun(match, text, bare)
        or (
            match["quote"] is not None
            and text[end : end + 1] == match["quote"]
            and not match[0].lower().startswith(("token", "secret", "api", "key", "code", "pin"))
            and (_COMMON | _PLACEHOLDERS).isdisjoint(bare.lower().split())
        )
    )
    return (
        f"{text[match.start() : start]}{SECRET}{tail}"
        if odd and len(bare) >= 5 and bare.lower() not in _NO_PASSWORDS and not bare.startswith(_CODE)
        else None
    )


_COUNTED: Final = frozenset(
    "windows python java ubuntu debian fedora centos alpine postgres sonnet opus haiku claude gemini codex copilot figure table chapter section "
    "appendix issue ticket story epic step test tests case suite version release sprint phase part page line task base worker agent reviewer "
    "review session user users admin player node port room level group team class column field item value error code http event events build "
    "batch shard week year quarter float uint point vector matrix model layer block chunk file folder image option choice answer question "
    "january february march april june july august september october november december area route gate track volume bundle".split()
)
"""Words in front of numbers that count, and are no passwords."""


def _made_up(match: re.Match[str], text: str) -> str | None:
    """A capital, small letters and digits: with two digits and no sign among them names of products are made so too (`Angular17`)."""
    said, stem = match[0], match["stem"]
    if stem and stem.lower() in _COUNTED:
        return None
    plain = said.rstrip("!?")
    named = stem and plain[len(stem) :].isdigit() and len(plain) == len(stem) + 2
    return None if named and not any(word in _before(text, match.start()) for word in _ABOUT_SECRETS) else SECRET


def _userinfo(match: re.Match[str], _text: str) -> str | None:
    said = match[1][:-1].lower()
    return None if said in _NOBODY or said in _SERVICES or said in _ROLES else f"://{SECRET}@"


def _authorization(match: re.Match[str], text: str) -> str | None:
    """All of the header, when what follows the scheme is no word of prose."""
    first = match["first"] or "="
    if first.startswith(_CODE) or "(" in first or not (any(sign in _DIGITS for sign in first) or "=" in first or len(first) >= 16):
        return None
    return f"{text[match.start() : match.start('value')]}{SECRET}"


def _link(match: re.Match[str], text: str) -> str | None:
    value = match["value"]
    return f"{text[match.start() : match.start('value')]}{SECRET}" if _is_uuid(value) or _is_drawn(value, about=True) else None


def _cookies(match: re.Match[str], text: str) -> str | None:
    start, end = match.span("value")
    return f"{text[match.start() : start]}{SECRET}" if "=" in text[start:end] else None


# Personal data ---------------------------------------------------------------------------------------------------------------------

_NOBODY: Final = ("git", "noreply", "no-reply", "donotreply", "bot", "actions", "hg")
"""Names before an @ that are no person's."""

_NO_HOSTS: Final = frozenset(
    "latest next beta alpha canary main master head stable dev rc nightly lts types current workspace sha256 param params return returns "
    "media import host hostname server machine domain keyframes property override test click".split()
)


def _address(match: re.Match[str], _text: str) -> str | None:
    return None if match[1].lower() in _NOBODY or match[1].isdigit() else EMAIL


def _local_address(match: re.Match[str], _text: str) -> str | None:
    host = match[2].lower()
    return None if match[1].lower() in _NOBODY or host in _NO_HOSTS or match[1].isdigit() else EMAIL


_SERVICES: Final = frozenset(
    "runner user users node ubuntu vscode codespace shared public app root you username me name yourname your-username your_username "
    "someuser someone default guest docker staff wheel sudo adm daemon nobody nogroup postgres redis mysql www-data nginx git bin sys "
    "circleci vagrant ec2-user linuxbrew foo example jovyan claude agent code project all "
    "default defaultuser0 user-name x y".split()
)
"""Names of home directories that are no person's."""

_ROLES: Final = frozenset(
    "admin administrator assistant system human app web api dev test tests ci bot deploy service string none null copilot codex gemini cursor "
    "devin dependabot renovate true false my the new old build win windows linux name".split()
)
"""Words that stand where an account is named, and name no person; a home directory of that name goes all the same."""


def is_pseudonym(name: str) -> bool:
    """Whether a name is one that stands for a person's already."""
    return len(name) == _PSEUDONYM and name.startswith(PSEUDONYM) and _HEX.issuperset(name[len(PSEUDONYM) :])


PSEUDONYM: Final = "user-"
_PSEUDONYM: Final = len(PSEUDONYM) + 10


def _home(match: re.Match[str], text: str) -> str | None:
    start, end = match.span("user")
    return (
        None
        if text[start:end].lower() in _SERVICES or is_pseudonym(text[start:end])
        else f"{text[match.start() : start]}{USER}{text[end : match.end()]}"
    )


def _named_user(match: re.Match[str], text: str) -> str | None:
    """An account in a field, a command or a machine's name."""
    said = match["user"].lower()
    return None if said in _ROLES or said in _PLACEHOLDERS else _home(match, text)


def _mentioned(match: re.Match[str], text: str) -> str | None:
    start, end = match.span("user" if match["user"] else "spoken")
    said = text[start:end].lower()
    return None if said in _SERVICES or said in _ROLES else f"{text[match.start() : start]}{USER}"


def _owner(match: re.Match[str], text: str) -> str | None:
    """Whom a file belongs to, or who runs a program, and the group's name, which is mostly the same."""
    group = match["group"] or ""
    said = [match["user"], *([group.strip(" :\t")] if group else [])]
    if all(each.lower() in _SERVICES or each.startswith("_") for each in said):
        return None
    kept = text[match.start() : match.start("user")]
    shown = [each if each.lower() in _SERVICES else USER for each in said]
    return kept + (":" if group.startswith(":") else " ").join(shown)


def _account(match: re.Match[str], _text: str) -> str | None:
    """A person's line of /etc/passwd: its login, and the full name."""
    if not 1_000 <= int(match["id"]) < 60_000 or match["user"] in _SERVICES:
        return None
    return f"{USER}:x:{match['id']}:{match['id']}:"


_AFTER_ALL: Final = tuple(
    "tel phone call mobil cell fax whatsapp sms kom numer handy ring reach dial contact signal móvil movil gsm 手机 电话".split()
)
_ONE_SPACE: Final = re.compile(r"[ ().\-/]+")


def _number(match: re.Match[str], text: str) -> str | None:
    """Digits in groups: a card, a national number, a telephone's, or nothing of these."""
    said = match[0]
    digits = "".join(sign for sign in said if sign in _DIGITS)
    count = len(digits)
    groups = [len(each) for each in _ONE_SPACE.split(said.strip("+() ")) if each]
    if said[0] == "+":
        return "<phone>" if 8 <= count <= 15 and "/" not in said else None
    if 13 <= count <= 19 and digits[0] in "23456" and _is_card(digits) and (len(groups) == 1 or max(groups) <= 6 <= count):
        return "<card>"
    if count > 16 and _is_card(digits[:16] if digits[0] in "23456" else "30") and groups[:4] in ([4, 4, 4, 4], [16, *groups[1:4]]):
        return f"<card>{said[19 if groups[0] == 4 else 16 :]}"
    if count == 26 and _remainder(digits[2:] + "2521" + digits[:2]) == 1:  # a Polish account without its PL
        return "<iban>"
    if count == 11 and len(groups) == 1 and _is_pesel(digits):
        return "<id-number>"
    if groups == [3, 2, 4] and said[3] in "- " and digits[:3] not in {"000", "666"} and digits[0] != "9":
        return "<id-number>"
    return "<phone>" if _is_phone(said, digits, groups, text[max(0, match.start() - 20) : match.start()].lower()) else None


def _is_phone(said: str, digits: str, groups: list[int], before: str) -> bool:
    """Whether digits in groups of these lengths are written as a telephone's number is; `before` is what stood in front of them."""
    count = len(digits)
    called = any(word in before.replace("string", "") for word in _AFTER_ALL)
    if "." in said and groups != [3, 3, 4] and not called:
        return False
    if (
        (called and 7 <= count <= 15)
        or groups in ([3, 3, 4], [1, 3, 3, 4])
        or (groups == [3, 3, 3] and digits[0] in "5678" and "." not in said and "/" not in said)
    ):
        return True
    if groups == [2] * 5 and digits[0] == "0" != digits[1]:  # as the French write them
        return True
    if said[0] == "(" and 7 <= count <= 11 and len(groups) >= 3 and groups[0] <= 5:  # the area in brackets
        return True
    if (
        len(groups) == 2 and digits[0] == "0" != digits[1] and groups[0] in {2, 3, 4, 5} and 6 <= groups[1] <= 8
    ):  # as Germans and the Dutch write them
        return True
    if groups in ([3, 2, 2, 2], [2, 3, 2, 2]) and digits[0] in "1234567" and _DIGITS.issuperset(said.replace(" ", "")):  # Spanish, Polish
        return True
    if count == 11 and digits[0] in "78" and said[2:3] == "(":  # Russian
        return True
    if digits[:2] == "00":
        return 10 <= count <= 16 and len(groups) > 2 and "-" not in said
    return digits[0] == "0" and 10 <= count <= 11 and len(groups) >= 3 and "/" not in said[5:] and groups[0] >= 3


def _is_card(digits: str) -> bool:
    """Luhn's sum, and a length that goes with how it begins."""
    fits = {"3": (14, 15), "4": (13, 16, 19), "5": (16,), "6": (16, 19), "2": (16,)}[digits[0]]
    odd = sum(int(sign) for sign in digits[-1::-2])
    even = sum(sum(divmod(2 * int(sign), 10)) for sign in digits[-2::-2])
    return len(digits) in fits and (odd + even) % 10 == 0 and len(set(digits)) > 1


def _is_pesel(digits: str) -> bool:
    month, day = int(digits[2:4]) % 20, int(digits[4:6])
    total = sum(int(sign) * weight for sign, weight in zip(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True))
    return 1 <= month <= 12 and 1 <= day <= 31 and total % 10 == 0


def _iban(match: re.Match[str], _text: str) -> str | None:
    plain = match[0].replace(" ", "").replace("-", "")
    if not 15 <= len(plain) <= 34:
        return None
    return "<iban>" if _remainder(plain[4:] + plain[:4]) == 1 else None


def _remainder(turned: str) -> int:
    """What is left of an account's number, its beginning at its end: one, when it is whole."""
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97


def _ip4(match: re.Match[str], text: str) -> str | None:
    numbers = [int(each) for each in match[0].split(".")]
    before = text[max(0, match.start() - 12) : match.start()].lower()
    if max(numbers) > 255 or numbers[0] in {0, 127, 255} or "version" in before or "==" in before[-2:] or max(numbers) < 10:
        return None
    if text[match.end() : match.end() + 1] == "/" and numbers[-1] == 0:  # a network
        return None
    return "<ip>"


def _ip6(match: re.Match[str], _text: str) -> str | None:
    said = match[0]
    groups = [each for each in said.split(":") if each]
    if len(groups) == 6 and all(len(each) == 2 for each in groups) and "::" not in said:
        return "<mac>"
    if "::" not in said:
        return "<ip>" if len(groups) == 8 and any(len(each) > 2 for each in groups) else None
    many = len(groups) >= 4 or (len(groups) >= 2 and len(groups[0]) >= 3 and any(sign in _DIGITS for sign in groups[0]))
    return "<ip>" if many and said.count("::") == 1 else None


_NO_NAMES: Final = frozenset(
    "claude code codex agent agents test tests pull request review reviewer the this that these those github gitlab git docker open ai "
    "model bot user users system tool tools api all each every both no new old first last next team continuous integration type script "
    "python java rust go node react next visual studio sonnet opus haiku gemini google copilot microsoft anthropic assistant build "
    "server client error file files main sub task tasks step phase part section i we you he she it they feb mar apr may jun jul aug sep oct nov "
    "dec january february march april june july august september october november december der die das ein eine sir madam release update platform data "
    "engineering product security support merge queue web services cloud hub stack overflow hugging face open source design components button "
    "pattern recognition machine deep learning jest mock kernel kubelet version foundation institute university college affiliates labs inc "
    "package manager default only".split()
)


def _full_name(match: re.Match[str], text: str) -> str | None:
    start, end = match.span("person")
    words = text[start:end].replace("-", " ").lower().split()
    if not _NO_NAMES.isdisjoint(words):
        return None
    return f"{text[match.start() : start]}<name>{text[end : match.end()]}"


def _is_given(given: str, person: str) -> bool:
    """Whether it is a first name, also in the cases of Polish, which the last name's end shows."""
    if given in _GIVEN:
        return True
    return person.endswith(("ego", "emu", "iej", "kim", "nym", "tym", "wym", "ką", "owi", "owej", "ową")) and (
        given[:-1] in _GIVEN or f"{given[:-1]}a" in _GIVEN or given[:-2] in _GIVEN
    )


def _known_name(match: re.Match[str], _text: str) -> str | None:
    """A first name that many people have, and a word after it that can be a last name."""
    given = match["given"]
    if (
        not _is_given(given.lower(), match["person"].lower())
        or not _NO_NAMES.isdisjoint(match["person"].lower().split())
        or (given.isupper() != match["person"].isupper())
    ):
        return None
    return "<name>"


def _last_name(match: re.Match[str], _text: str) -> str | None:
    return "" if _NO_NAMES.isdisjoint(match["person"].lower().split("-")) else None


def _known_first_name(match: re.Match[str], text: str) -> str | None:
    return f"{text[match.start() : match.start('given')]}<name>" if match["given"].lower() in _GIVEN else None


_GIVEN: Final = frozenset(
    "james john robert michael david william richard joseph thomas christopher daniel matthew anthony steven paul andrew joshua kenneth kevin "
    "brian george timothy ronald edward jason jeffrey ryan jacob gary nicholas eric jonathan stephen larry justin brandon benjamin samuel "
    "gregory alexander patrick raymond dennis jerry aaron nathan henry douglas zachary peter kyle noah ethan jeremy walter keith roger sean "
    "gerald harold arthur lawrence bryan bruce gabriel albert alan wayne ralph randy eugene vincent russell louis philip bradley mike steve "
    "dave jim joe bob tom tim matt mary patricia jennifer linda elizabeth barbara susan jessica sarah karen lisa nancy betty sandra margaret "
    "ashley kimberly emily donna michelle amanda melissa deborah stephanie dorothy rebecca sharon laura cynthia amy kathleen angela shirley "
    "brenda emma anna pamela nicole samantha katherine christine helen rachel carolyn janet maria catherine heather diane olivia julie joyce "
    "ruth lauren kelly christina evelyn judith andrea hannah megan cheryl jacqueline martha teresa gloria sara janice kathryn abigail sophia "
    "frances alice judy isabella denise jane kate lucy charlotte "
    "jan piotr krzysztof andrzej tomasz paweł pawel michał michal marcin jakub stanisław stanislaw marek grzegorz łukasz lukasz wojciech "
    "zbigniew jerzy mateusz kamil dariusz mariusz kazimierz bartosz rafał rafal sławomir józef jozef jarosław wiesław ryszard tadeusz kacper "
    "katarzyna małgorzata malgorzata agnieszka krystyna ewa elżbieta elzbieta zofia magdalena joanna monika jadwiga danuta irena halina helena "
    "dorota aleksandra beata grażyna jolanta iwona marta natalia paulina weronika karolina justyna sylwia "
    "hans klaus jürgen juergen wolfgang uwe heinz günter bernd matthias stefan andreas sebastian florian tobias jens torsten thorsten dieter "
    "ulrich holger ralf sven jörg markus lars ursula petra sabine gisela brigitte renate ingrid heike birgit silke anja katja ulrike claudia "
    "susanne heidi greta lena leonie lukas felix maximilian moritz friedrich johannes "
    "pierre jacques françois francois olivier laurent nicolas julien guillaume antoine mathieu sébastien thierry philippe isabelle sylvie "
    "nathalie céline aurélie camille chloé élodie carlos javier manuel antonio francisco miguel alejandro fernando luis pedro pablo diego jorge "
    "raúl sergio lucía carmen pilar giuseppe giovanni luca marco alessandro francesco matteo lorenzo giulia chiara francesca joão paulo björn "
    "erik nils astrid mikael ivan dmitry sergei olga svetlana vladimir pavel priya rahul amit sanjay ravi anil sunita deepak mohammed muhammad "
    "ahmed fatima omar yusuf hiroshi kenji".split()
)
"""Not among them: what is mostly another word (Claude, Max, Mark, Will, Grace, Ruby, Julia, Adam)."""

_VERBS: Final = tuple(
    "asked wrote said says reported reviewed approved requested suggested told confirmed mentioned complained wants emailed called noticed agreed "
    "insisted signed merged committed pushed asks writes replied commented thinks lives phoned proposed prefers promised resigned paid ordered "
    "bought fixed broke found filed raised joined left forgot".split()
)
"""What people do, in the sentences of an agent's log."""
_VERBS_BEGUN: Final = tuple("prosi napisa zgłosi zglosi попросил написал сказал сообщил".split())

_COMMON: Final = frozenset("the and for are not was but from you all its has our out use can".split())


def _seed(match: re.Match[str], text: str) -> str | None:
    start, end = match.span("value")
    return f"{text[match.start() : start]}{SECRET}" if _COMMON.isdisjoint(text[start:end].split()) else None


# fmt: off
# The rules -------------------------------------------------------------------------------------------------------------------------

_CAPITAL: Final = "A-ZÀ-ÖØ-ÞĄĆČĎĘĚŁŃŇÓŘŚŠŤŹŻŽА-ЯЁІЇЄẠ-Ỹ"
_LETTER: Final = "a-zß-öø-ÿąćăčďđęěłńňóřśšťźżžơưа-яёіїєạ-ỹ"
_GIVEN_NAME: Final = rf"[{_CAPITAL}][{_LETTER}]{{1,20}}+(?:-[{_CAPITAL}][{_LETTER}]{{1,20}}+)?"
_LAST_NAME: Final = rf"(?:O'|D'|Mc|Mac)?[{_CAPITAL}][{_LETTER}]{{1,24}}+(?:-[{_CAPITAL}][{_LETTER}]{{1,24}}+)?"
_LOCAL: Final = r"\w.%+-"
_APART: Final = r"[\s\"'`()\[\],:={>@|→?]"
_MADE_UP: Final = r"(?P<value>(?=[^\s\"'`(),:;={}<>\[\]/\\.\d]{0,60}\d)[^\s\"'`(),:;={}<>\[\]/\\.]{6,64}+)(?![\w=(./\[])"
"""A word as people make up passwords: with a digit, and without what code and paths are made of."""
_MADE_UP_BEFORE_AT: Final = r"(?P<value>[^\s\"'`(),:;={}<>\[\]/\\.@]{6,64}+)"
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_VALUE: Final = r"[^\s\"'`,;&|]{4,}+"

_OPERAND: Final = r"[\"']?([^\s\"']{4,256}+)"
_QUOTED: Final = r"[\"']([^\"'\n]{4,256}+)"
_THE_LINE: Final = r"[^\n|;&]{0,80}?"

_COMMANDS: Final = (
    ("identified ", rf"identified (?:with \S{{1,40}} )?by (?:password )?{_QUOTED}"),
    ("login ", rf"login \S{{1,64}}+\s{{1,8}}(?:account \S{{1,64}}+\s{{1,8}})?password {_OPERAND}"),
    ("requirepass", rf"requirepass\s{{1,3}}{_OPERAND}"),
    ("masterauth", rf"masterauth\s{{1,3}}{_OPERAND}"),
    ("bindpw", rf"bindpw\s{{1,3}}{_OPERAND}"),
    ("rootpw", rf"rootpw\s{{1,3}}{_OPERAND}"),
    (
        "echo ",
        (r"echo (?:-n )?[\"']?(?:[\w.-]{1,32}:)?([^\s\"'|<>$:]{4,128}+)[\"']?\s{0,3}\|\s{0,3}"
        rf"(?:sudo -\w{{0,3}}s|(?:sudo )?(?:chpasswd|cryptsetup|smbpasswd|passwd)|gpg|openssl|base64(?! -{{1,2}}d)|kinit|{_THE_LINE}--password-stdin)"),
    ),
    (" secret", r"(?:printf|echo(?: -n)?) [\"']([^\s\"'|<>$]{4,128}+)[\"']\s{0,3}\|\s{0,3}\w{2,12} secret\b"),
    ("<<<", rf"(?:--password-stdin|(?:\w{{0,8}}passwd|cryptsetup|kinit|gpg|sudo -s)\b{_THE_LINE})\s{{0,3}}<<<\s{{0,3}}{_OPERAND}"),
    ("convertto-secure", rf"convertto-securestring (?:-\w{{1,12}} ){{0,2}}{_QUOTED}"),
    ("jdbc:oracle", r"jdbc:oracle:\w{1,8}:[\w.$#]{1,64}/([^\s@\"']{4,128}+)(?=@)"),
    ("sqlplus ", r"sqlplus\s{1,3}(?:-\w{1,4}\s){0,3}[\"']?[\w.$#]{1,64}/([^\s@\"'/]{4,128}+)"),
    ("net use", r"net use(?:r \S{1,64}+ ([^\s/*]\S{3,128}+)(?= /)| [^\n]{0,80}?(?:/user:\S{1,64}+ ([^\s/]\S{3,128}+)|\s([^\s/\\:]{4,128}) /user:))"),
    ("-u ", r"-u [\"']?[\w.\\@-]{1,64}%([^\s\"'%]{4,128}+)"),
    ("http-basic", rf"config (?:--\w{{1,12}} )?http-basic\.\S{{1,64}}+ \S{{1,64}}+ {_OPERAND}"),
    ("lftp ", rf"lftp\b{_THE_LINE}-u ?[\"']?[^\s,]{{1,64}},{_OPERAND}"),
    ("htpasswd ", r"htpasswd -\w{0,6}b\w{0,6} \S{1,128}+ (?:\S{1,64}+ )?([^\s>|]{4,128}+)"),
    ("/p:", rf"xfreerdp\b{_THE_LINE}/p:{_OPERAND}"),
    ("obscure ", rf"rclone obscure {_OPERAND}"),
    ("openssl enc", rf"openssl enc {_THE_LINE}-k {_OPERAND}"),
    ("snmp", rf"snmp\w{{2,8}} {_THE_LINE}-c {_OPERAND}"),
    ("secret ", rf"secret (?:[057] {_OPERAND}|set {_THE_LINE}(?:--body|--value|-b)[ =]?{_OPERAND})"),
    ("community ", rf"r[ow]community {_OPERAND}"),
    ("rabbitmqctl ", rf"rabbitmqctl (?:add_user|change_password) \S{{1,64}}+ {_OPERAND}"),
    ("identify ", rf"nickserv identify {_OPERAND}"),
    ("superuser(", rf"\w{{0,32}}superuser\((?:[\"'][^\"'\n]{{1,64}}+[\"'], ?){{1,2}}{_QUOTED}"),
    ("ssh-keygen ", rf"ssh-keygen\b{_THE_LINE} -[np] ?{_QUOTED}"),
)
"""A word that stands in each, and where its password stands: in lower case, at the beginning of a word."""

_STATEMENTS: Final = (
    rf"(?:with|encrypted|(?:user|role|login) [\w\"'@%.]{{1,64}}+) password (?:= ?)?{_QUOTED}",
    rf"set password for \S{{1,64}} ?= ?(?:password\()?{_QUOTED}",
    r"(?<=;)(?:pwd|password)=\{([^{}\n]{4,128}+)(?=\})",
    (rf"(?:setx|setenv|env|arg|define|set|put|create)(?: -{{1,2}}[a-z-]{{1,16}}+)? (?:[\w./:-]{{0,48}}[_./:-]|(?<=--secret )\w{{0,32}})"
    rf"(?:token|key|secret|pass|password|passwd|pwd)(?: {{1,3}}|=){_OPERAND}"),
    rf"--(?:name|key) [\"']?[\w./-]{{0,64}}?(?:pass|secret|token|key|pwd)[\w./-]{{0,32}}[\"']? --(?:value|data) {_OPERAND}",
    (r"(?:use|using|enter|type|try|with|set) [\"'`]([^\s\"'`]{4,64}+)[\"'`] (?:as|for) (?:(?:the|my|our|your|a|its|his|her) )?"
    r"(?:\w{1,12} )?(?:password|passphrase|passcode)"),
)
"""The same without such a word: a word for a password has to be in the text."""

_WITH_DIGITS: Final = ("\x01",)
_WITH_PAIRS: Final = ("\x02",)
"""Gates of rules that need a digit, or two words that begin with capitals: `_marked` adds the sign to a text that has them."""

RULES: Final = (
    Rule(
        "private key",
        (("-----begin",), ("private key", "pgp")),
        r"(?s)-----BEGIN [A-Z0-9 ]{0,40}(?:PRIVATE KEY|PGP MESSAGE)[A-Z ]{0,20}-----.*?(?:-----END [A-Z0-9 ]{0,60}-----|\Z)",
        SECRET,
        named=True,
    ),
    Rule("putty key", (("private-lines:",),), r"(?i)(?<=private-lines: )\d+\s*+[A-Za-z0-9+/=\s]++", SECRET),
    Rule(
        "credentials of a URL",
        (("://",), ("@",)),
        r"://([^\s/?\"'<>]{1,256}@|[^\s/?#\"'<>:@]{0,64}:(?!\d{1,5}[/?#])[^\s\"'<>]{1,128}@(?=[\w.-]{1,128}+(?::\d|[/?\s\"',;)]|\Z)))",
        _userinfo,
        named=True,
    ),
    Rule(
        "credentials of an address without a scheme",
        (("@",), (":", "/")),
        rf"(?<![\w.:/@-])[\w.-]{{1,32}}[:/](?=[^\s@]{{6,64}}@(?!sha\d)[\w(/]){_MADE_UP_BEFORE_AT}(?=@)",
        _surely_near,
        folded=True,
    ),
    Rule(
        "webhook",
        (("hooks.slack.com/", "/webhooks/", "webhookb2/", "hooks.zapier.com/", "webhook.site/"),),
        r"(?i)((?:hooks\.slack\.com/(?:services|workflows|triggers)|/api/webhooks|webhookb2|hooks\.zapier\.com/hooks/catch|webhook\.site)/)[^\s\"'<>]{8,}+",
        lambda match, _: f"{match[1]}{SECRET}",
        named=True,
    ),
    Rule(
        "link that opens something",
        (("://",), ("/hook", "/webhook", "/invite/", "/reset", "/password-reset/", "/verify", "/magic", "/unsubscribe/", "/activate/")),
        r"/(?i:webhooks?|hooks?|invite|reset(?:-password)?|password-reset|verify(?:-email)?|magic(?:-link)?|unsubscribe|activate)/(?P<value>[\w-]{16,512}+)",
        _link,
    ),
    Rule(
        "password's hash",
        (("$",), ("$1$", "$5$", "$6$", "$2a$", "$2b$", "$2x$", "$2y$", "$y$", "$7$", "$apr1$", "$argon2", "pbkdf2", "$scrypt$")),
        r"(?:\$(?:[1567y]|2[abxy]|apr1|argon2\w{1,2}|scrypt|pbkdf2[\w-]{0,16})|\bpbkdf2_\w{1,10}\$\d{1,9})\$[^\s:\"',]{8,}+",
        SECRET,
    ),
    Rule("password's hash in a directory", (("{",), ("{sha", "{ssha", "{smd5", "{md5", "{crypt}")), r"\{(?:S?SHA\d{0,3}|S?MD5|CRYPT|s?sha\d{0,3}|s?md5|crypt)\}[A-Za-z0-9+/=$.]{16,}+", SECRET),
    Rule(
        "header of authorization",
        (("authorization",), (":", "=")),
        r"authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<scheme>[a-z][\w-]{1,24}+\s{1,3})?"
        r"(?P<value>(?:(?<=digest )|(?<=hawk )|(?<=oauth ))[^\n]{6,}+|(?P<first>[^\s\"'`,;]{6,}+)[^\n\"'`]*+)",
        _authorization,
        folded=True,
    ),
    Rule(
        "id that opens something",
        (("auth", "token", "key", "secret", "license", "licence", "login"), ("-",)),
        rf"(?:auth|token|key|secret|licen[cs]e|login)\s{{1,2}}(?P<value>{_UUID})(?![\w-])",
        _digits,
        folded=True,
    ),
    Rule(
        "scheme of a header",
        (("bearer", "basic ", "digest ", "token ", "apikey ", "negotiate "),),
        r"\b(?:bearer|basic|digest|token|apikey|negotiate)\s{1,3}(?P<value>[a-z0-9._~+/=-]{8,}+)",
        _scheme,
        folded=True,
    ),
    Rule(
        "cookie",
        (("cookie", "curl "),),
        r"(?:\b(?:set-)?cookie[\"']?\s{0,3}[:=]\s{0,3}|--cookie[\s=]|\bcurl\s[^\n|;&\"']{0,80}?-b\s?)[\"']?(?P<value>[^\n\"']{4,}+)",
        _cookies,
        folded=True,
    ),
    Rule(
        "assignment",
        (
            (
                "pass", "pwd", "secret", "token", "key", "auth", "credential", "kennwort", "wachtwoord", "haslo", "hasło", "contrase", "senha",
                "пароль", "lösenord", "heslo", "parola", "パスワード", "密码", "密碼", "비밀번호", "sekret", "geheimnis", "salasana", "jelszó", "şifre", "adgangskode", "answer", "clave", "haslem", "hasłem", "hasla", "hasła", "sess", "salt", "mnemonic", "pin", "psk", "pw",
            ),
            ("=", ":", "%3d"),
        ),
        rf"(?:(?P<strong>{_STRONG}|pwd|(?<![a-z])p(?:sk|w)(?![a-z])|credentials?|pass(?=[\"'\\]{{0,3}}\s{{0,4}}[:=])|security answer|clave(?=\s?[:=]))"
        r"|secret|token|(?:api|access|private|signing|encryption|account|auth|stream|master|session|deploy|service|storage|license|licence)[ _-]?key"
        r"|(?<=[_-])key|authorization|(?<=[_-])auth|session(?:[_-]?id|[_-]?key)|csrf|salt|mnemonic)"
        r"(?P<rest>[\w.-]{0,24}+)(?: (?:for|of|to|on|do|dla|na|für|zum|zur|de|del|para|pour|di) [^\s:=\"']{1,24}+(?: [^\s:=\"']{1,24}+)?(?= ?[:=])| \([^()\n]{1,24}+\)(?=:))?"
        r"(?P<sign>\\{0,8}[\"'`*]{0,2}\]?\s{0,32}+(?:=>|:=|==?|:(?:\s?&?[\w']{1,24}\??\s?=|\*\*)?|%3d)\s{0,4}(?:(?:bearer|basic|token)\s{1,2})?(?:(?:(?:new\s)?[a-z][\w.:]{0,40}\s?\(\s?|convertto-securestring\s(?:-string\s)?|[a-z]{1,2})(?=[\"']))?(?:[|>][+-]?\s{1,16})?)"
        rf"(?P<quote>\\{{0,8}}[\"'`])?(?P<value>(?(quote)[^\"'`\n]{{4,512}}+|(?:(?:(?<=phrase=)|(?<== ))[a-z0-9]{{2,20}}+(?: [a-z0-9]{{2,20}}+){{1,7}}+(?=\s{{0,3}}(?:\n|\Z))|{_VALUE})))",
        _assigned,
        folded=True,
    ),
    Rule(
        "parameter of a URL",
        (("?", "&"), ("=",)),
        r"(?:[?&](?:x-amz-)?(?:sig|signature|credential|security-token|key|code|auth|st|pass|pw|pwd|session|sid|token|ticket)|[?&](?:u|user|login|username)=[^\s&#\"'<>]{1,64}+&p)="
        r"(?P<value>[^\s&#\"'<>]{6,}+)",
        _in_query,
        folded=True,
    ),
    Rule(
        "option",
        (("-",), ("pass", "pwd", "-pw", "secret", "token", "key", "credential")),
        r"(?<![\w-])(?:-[a-z]{0,8}(?=pass)|--[a-z-]{0,24})(?:password|passwd|passphrase|passcode|pass(?:in|out)?|pwd|pw|secret(?:-string|-value)?|token|key|credentials?)(?:\s{1,3}|=)(?P<quote>[\"'])?"
        rf"(?P<value>(?(quote)[^\"'\n]{{4,256}}+|{_VALUE}))",
        _flag,
        folded=True,
    ),
    Rule(
        "short option",
        ((" -p", " -a", " -w"), ("mysql", "mariadb", "sshpass", "twine", "docker login", "redis-cli", "mongo", "ldap", "htpasswd", "7z", "zip", "az ", "sqlcmd", "bcp ", "ipmitool", "http")),
        r"\b(?:mysql(?:dump|admin|import)?|mariadb|sshpass|twine|docker login|redis-cli|mongo(?:sh|dump)?|ldap\w{1,8}|htpasswd|7z|zip|unzip|az|sqlcmd|bcp|ipmitool|https?(?= -a ))\b"
        rf"[^\n|;&]{{0,80}}?\s-(?:p|a|w)\s?(?!\d{{1,5}}(?!\S))[\"']?(?:[\w.-]{{1,32}}:)?(?P<value>{_VALUE})",
        _short_flag,
        folded=True,
    ),
    Rule(
        "user and password of an option",
        (("-u", "--user", "--proxy-user", "curl "), (":",)),
        rf"(?<![\w-])(?:-[a-z]{{0,3}}u|--user|--proxy-user)(?:\s{{1,3}}|=)?[\"']?[^\s:\"']{{1,64}}:(?P<value>{_VALUE})",
        _pair,
    ),
    Rule(
        "said password",
        (("pass", "haslo", "hasło", "hasłem", "haslem", "kennwort", "contrase", "senha", "token", "secret", "pwd", "pw ", "code", "pin ", "key"),),
        rf"\b(?:{_STRONG}|pwd|(?:pass|pw)(?= (?:is|was) )|token|secret|(?:api key|key|code|pin)(?= (?:is|was|jest|to|ist)))\s{{1,2}}"
        r"(?:(?:for|of|do|dla|für|zum|zur)\s\S{1,32}\s(?:\S{1,32}\s)?(?=(?:is|was|jest|to|ist|lautet|est|es|è|é)\s))?"
        r"(?:(?:(?P<is>(?<!token )(?<!secret )(?<!code )(?<!key )(?<!pin )(?<!pass )(?:is|was|jest|ist|lautet|is now|est|es|è|é))|is|was|to|are|of)\s{1,2})?(?P<quote>[\"'`])?"
        r"(?P<value>(?(quote)[^\"'`\n<>(){}\[\]=/]{5,64}+(?=[\"'`])|[^\s\"'`,;<>(){}\[\]=/]{5,64}+(?![\w=/(])))",
        _said,
        folded=True,
    ),
    Rule(
        "password near its name",
        (_WITH_DIGITS, ("pass", "pw", "psk", "kennwort", "wachtwoord", "contrase", "haslo", "hasla", "haslem", "hasło", "hasła", "hasłem", "senha", "parola")),
        r"(?:password|passwd|passphrase|passwor[dt]|kennwort|wachtwoord|contraseña|contrasena|mot de passe|has[lł](?:o|a|em)|(?:store|key|_)pass(?![a-z])|(?<![a-z])pass(?=\s{0,2}[\"':=]| (?:is|was) )|senha|parola|(?<![a-z])p(?:w|sk)(?![a-z]))\w{0,12}+"
        rf"(?:{_APART}{{1,6}}+[a-zà-ž]{{1,10}}+(?={_APART})|[\"'\])]{{1,4}}+\.[a-z_]{{1,16}}+(?=\()){{0,3}}+(?:{_APART}|->|- ){{1,6}}+{_MADE_UP}",
        _near,
        folded=True,
    ),
    Rule(
        "password before its name",
        (_WITH_DIGITS, ("pass", "kennwort", "hasło", "haslo", "contrase", "token", "secret", "pin"), (" as ", " is ", " was ", " jest ", " to ", " jako ", " ist ")),
        rf"(?<![\w./=-]){_MADE_UP}[\"'`]?(?= (?:as|is|was|jest|to|jako|ist) (?:(?:the|my|our|his|her|their|a|new|old|moje|nasze|nowe|das|mein|db|admin|root) ){{0,2}}(?:password|passwort|passphrase|passcode|kennwort|hasło|haslo|token|secret|pin)\b)",
        _surely_near,
        folded=True,
    ),
    Rule(
        "account that many systems have, and its password",
        (("admin", "root", "postgres", "guest", "oracle"), (":", "/")),
        rf"(?<![\w./@-])(?:admin(?:istrator)?|root|postgres|guest|oracle)[:/]{_MADE_UP}",
        _surely_near,
        folded=True,
    ),
    Rule(
        "user and password",
        (_WITH_DIGITS, ("creds", "credential", "log in", "login", "sign in", "account", "zugang", "dane ", "konto", "identifiants", "auth ", "wifi", "wi-fi"), ("/", ":", "|", "creds ")),
        rf"(?:\bcreds? [^\s/:|]{{1,64}}+ |\b(?:creds?|credentials(?: for [^\n:]{{1,24}}+)?|log ?in(?: with| as)?|sign in(?: with| as)?|account|(?:basic )?auth|wi-?fi|zugangsdaten|zugang|dane (?:logowania|dost\w{1,8})|konto|identifiants):? [^\s/:|]{{1,64}}+ ?[/:|] ?){_MADE_UP}",
        _surely_near,
        folded=True,
    ),
    Rule(
        "element or attribute",
        ((">",), ("pass", "pwd", "secret", "token", "key", "kennwort", "haslo", "hasło")),
        r"<(?P<name>[\w.:-]{1,64}+)(?:\s[^<>\n]{0,80}+)?>\s{0,4}+([^<>\n]{4,512}+)</",
        _argument,
        folded=True,
    ),
    Rule(
        "value beside its name",
        (("value",), ("pass", "pwd", "secret", "token", "key", "session", "authorization", "cookie")),
        r"\b(?:name|key|type)[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<name>[\w.:-]{1,64}+)[\"']?[\s,]{1,40}+"
        r"[\"']?value[\"']?\s{0,3}[:=]\s{0,3}[\"']?([^\s\"'<>,}]{4,512}+)",
        _argument,
        folded=True,
    ),
    Rule(
        "argument of a call",
        (("(",), (",",), ("pass", "pwd", "secret", "token", "key", "auth", "login")),
        r"(?:\b(?:define|setenv|putenv|getenv|environ\.get|setdefault|setproperty|set|put|add|append|header|env)\s?\(\s{0,4}[\"'](?P<name>[\w.-]{1,64}+)[\"']"
        r"|(?:auth\w{0,12}+\s{0,2}=?|\blogin)\s{0,2}\(\s{0,4}[\"'][^\"'\n]{1,64}+[\"'])\s{0,4},\s{0,4}[\"']([^\"'\n]{4,256}+)[\"']",
        _argument,
        folded=True,
    ),
    Rule(
        "call with one argument",
        (("(",), ("pass", "pwd", "secret", "token", "key")),
        r"(?<!\w)(?!get)(?P<name>\w{4,40}+)\(\s{0,4}[\"']([^\"'\n]{4,256}+)[\"']\s{0,4}\)",
        _argument,
        folded=True,
    ),
    Rule(
        "column of passwords",
        (("passw", "passphrase", "pwd", "kennwort", "haslo", "hasło", "secret", "token", "api_key"), (",", ";", "|", "\t"), ("\n", "values")),
        r"(?:(?m:^)(?P<head>(?:[^\n,;|\t(){}=:]{0,40}+[,;|\t]){1,16}+[^\n,;|\t(){}=:]{0,40}+)\n(?P<rows>(?:[^\n]{1,400}+(?:\n|\Z)){1,64}+)"
        r"|\((?P<columns>[^()\n]{4,200}+)\)\s{1,8}values\s{0,8}\((?P<row>[^()\n]{4,400}+))",
        _columns,
        folded=True,
    ),
    Rule(
        "word of a command",
        (tuple(word for word, _ in _COMMANDS),),
        rf"(?<![\w-])(?:{'|'.join(pattern for _, pattern in _COMMANDS)})",
        _operand,
        folded=True,
    ),
    Rule(
        "password of a statement",
        (("pass", "pwd", "secret", "token", "key"), ("set", "env", "put", "arg ", "create", "define", "=", " as ", " for ", "with", "encrypted", "user", "role", "login", "--")),
        rf"(?<![\w-])(?:{'|'.join(_STATEMENTS)})",
        _operand,
        folded=True,
    ),
    Rule(
        "line of .pgpass",
        ((":",), (":5432:", ":5433:", ":6432:", ":*:")),
        r"(?m)^[\w.*-]{1,128}:(?:543\d|6432|\*):[\w.*-]{1,64}:[\w.*-]{1,64}:(?P<value>\S{4,256}+)",
        _digits,
    ),
    Rule(
        "number of a card's back, or a PIN",
        (_WITH_DIGITS, ("cvv", "cvc", "pin")),
        r"\b(?:(?:cvv|cvc)2?[\"']?\s{0,2}[:=]?\s{0,2}[\"']?(?=\d{3,4}\b)|pin[\"']?\s{0,2}[:=]\s{0,2}[\"']?(?=\d{4,8}\b))(?P<value>\d{3,8})(?![\w.])",
        _digits,
        folded=True,
    ),
    Rule(
        "vault of ansible",
        (("$ansible_vault;",),),
        r"(?<=\$ANSIBLE_VAULT;)[\w.;-]{1,64}(?:\\n|\s){1,4}[0-9a-f\s\\n]{16,}+",
        SECRET,
    ),
    Rule(
        "secret of kubernetes",
        (("kind: secret",), ("data:",)),
        r"(?<=data:)(?:[^\S\n]*\n[^\S\n]{1,16}+[\w.-]{1,64}+:[^\n]*+)++",
        f" {SECRET}",
    ),
    Rule(
        "default of a secret",
        (("pass", "pwd", "secret", "token", "key"), ("||", "??", " or ", ":-")),
        r"(?P<name>(?:pass|pwd|secret|token|api_?key|access_?key|private_?key)[\w.\"'\])]{0,40}+)(?:[ ,]{0,2}(?:\|\||\?\?|or) ?[\"']([^\"'\n]{4,256}+)[\"']|:-([^\s}\"']{4,256}+))",
        _argument,
        folded=True,
    ),
    Rule(
        "user and password of a command",
        (("-u",), ("-p", "-w", "--pw")),
        r"[\s\"'](?:-u[\"']?[ =,]{0,2}[\"']?[^\s\"'-][^\s\"']{0,63}[\"']?,? [\"']?(?:-p|-w|--pw)[\"']?[ =,]{0,2}[\"']?|-[pw] (?=[^\s\d]{0,64}\d\S{0,64} -u ))(?P<value>[^\s\"'`,;|/%$<:-][^\s\"'`,;|/:]{4,64}+)",
        _short_flag,
        folded=True,
    ),
    Rule(
        "passphrase of words",
        (("passphrase",),),
        r"\bpassphrase(?: is|:| =|=) {1,2}[\"'`]?(?P<value>(?=[a-z -]{1,40}\d)[a-z0-9]{2,20}(?:[ -][a-z0-9]{2,20}){1,7})(?![\w(])",
        _digits,
        folded=True,
    ),
    Rule(
        "answer to a prompt",
        (("send",), ("assword", "assphrase")),
        r"\bsend(?:line)?[ (]{1,2}[\"']([^\"'\\\n]{4,128}+)(?=\\|[\"'])",
        _operand,
    ),
    Rule(
        "value in an object of credentials",
        (("credential", "secret", "auth", "passw", "token", "_key"), ("value", "data", "content", "default"), ("{",)),
        r"(?P<name>(?:credentials?|secrets?|auth|passw\w{2,3}|token|(?<=_)key)\w{0,16})\\?[\"']?\s{0,3}[:=]?\s{0,3}\{[^{}]{0,160}?(?<!\w)\\?[\"']?(?:value|data|content|default)\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']([^\"'\\\n]{4,512}+)",
        _argument,
        folded=True,
    ),
    Rule("code of a wireless network", (("wifi:",),), r"(?<=WIFI:)[^\n;]{0,64}+;[^\n\"']{1,256}+", SECRET),
    Rule(
        "code that opens something",
        (_WITH_DIGITS, ("code", "kod", "otp", "pin", "tan ")),
        r"\b(?:(?:verification|security|access|confirmation|one-?time|login|sms|auth\w{0,12}|door|gate|entry|2fa|mfa|otp|recovery|unlock|guard|activation)[ _-]code|pin code|(?:zugangs|zugriffs|sicherheits|bestätigungs)code|kod (?:pin|dost\w{1,4}|sms|weryf\w{1,8}|do \S{2,16})|passcode|otp|totp|tan|pin(?= (?:is|to|jest|ist) )|pin (?:do|for|to|of|für) \S{2,16}(?: \S{2,16})?)"
        r"[\"']?(?:\s{0,2}[:=]|\s(?:is|to|jest|ist|lautet))?\s{0,2}[\"']?(?P<value>(?=[a-z-]{0,8}\d)(?:\d{4,8}#?|[a-z0-9]{5,8}|\d{2,4}(?:-\d{2,4}){1,3})(?![\w.(-]))",
        _digits,
        folded=True,
    ),
    Rule(
        "code before its name",
        (_WITH_DIGITS, (" is your ",)),
        r"\b(?:[A-Z]-)?\d{4,8}(?= is your (?:\w{1,16} ){0,3}(?i:code|pin|otp|passcode)\b)",
        SECRET,
    ),
    Rule(
        "codes for the day when all else is lost",
        (_WITH_DIGITS, (" code", "_code", "-code", "kody")),
        r"\b(?:(?:recovery|back-?up|scratch|emergency|rescue|one-?time|2fa|mfa)[ _-]?codes?|kody (?:zapas\w{1,4}|odzysk\w{1,6}|jednoraz\w{1,4}))[\"']?\s{0,2}[:=]?\s{0,4}\[?"
        r"(?P<value>(?:[\s,;\"'*•-]{0,6}(?:\d{1,2}[.)]\s{1,3})?(?=[a-z-]{0,12}\d)[a-z0-9]{4,12}+(?:-[a-z0-9]{4,12}+){0,3}){1,24}+)",
        _digits,
        folded=True,
    ),
    Rule(
        "key of a licence",
        (_WITH_DIGITS, ("-",)),
        r"[A-Z0-9](?<![\w-].)(?=[A-Z-]{0,40}\d)(?=[\d-]{0,40}[A-Z])[A-Z0-9]{4}(?:-[A-Z0-9]{5}){3,7}(?![\w-])",
        SECRET,
    ),
    Rule(
        "key of a licence that is named",
        (_WITH_DIGITS, ("licen", "serial", "product key", "activation", "klucz"), ("-",)),
        r"\b(?:licen[cs]e|serial|product|activation|klucz)(?:[ _-](?:key|number|no|code|produktu|licenc\w{1,4}))?\.?[\"']?\s{0,2}[:=]?\s{0,2}(?:is\s)?[\"']?(?P<value>(?=[a-z-]{0,30}\d)[a-z0-9]{4,8}(?:-[a-z0-9]{4,8}){2,7}(?![\w-]))",
        _digits,
        folded=True,
    ),
    Rule(
        "seed phrase",
        (("mnemonic", "seed", "phrase", "recovery", "wallet", "backup words"),),
        r"(?<![a-z])(?P<value>[a-z]{3,8}(?: [a-z]{3,8}){11,23})(?![a-z])",
        _seed,
    ),
    Rule("bot token", ((":aa",),), r"(?<!\w)\d{8,10}:AA[\w-]{30,}+", SECRET, named=True),
    Rule("long word", (), rf"(?<![A-Za-z0-9_+/=.~-])[A-Za-z0-9_+/=.~-]{{{_WORD_START},}}+", _word),
    Rule(
        "password as people make them up",
        (_WITH_DIGITS,),
        r"(?<![\w./@\\-])(?P<stem>[A-Z][a-z]{3,24}+)(?:[-_!@#$%&*]?\d{2,6}[a-z]{0,3}[!#$%&*?]{0,2}|(?:\d[a-z]{1,12}){1,4}\d{1,6}[!#$%&*?]{0,2})(?![\w/(=:-]|\.\w)"
        r"|(?<![\w./@-])[A-Z][a-z]{0,2}(?:\d[a-z]{1,12}){2,4}\d{1,6}[!#$%&*?]{0,2}(?![\w/(=:-]|\.\w)",
        _made_up,
    ),
    Rule(
        "e-mail address",
        (("@",),),
        rf"(?<![{_LOCAL}])([{_LOCAL}]++|\"[^\"\n@<>]{{1,64}}+\")@(?:[\w-]++\.)++[^\W\d_]{{2,}}",
        _address,
        named=True,
    ),
    Rule(
        "e-mail address written otherwise",
        (("%40", "[at]", "(at)", "{at}", "[ät]", "&#64;", "&#x40;", "\\u0040"),),
        r"(?<![\w.%+-])[\w.+-]++(?:%40|&#(?:64|x40);|\\{1,2}u0040|\s?[\[({](?:at|ät)[\])}]\s?)[\w-]{1,63}(?:(?:\.|\s?[\[(](?:dot|punkt|kropka)[\])]\s?)[\w-]{1,63}){1,4}+",
        EMAIL,
    ),
    Rule(
        "e-mail address in words",
        ((" at ", " [at", " małpa "), (" dot ", " kropka ")),
        r"(?<![\w.%+-])[a-z0-9._+-]{2,64}+ (?:at|małpa) (?:[a-z0-9-]{1,63} (?:dot|kropka) ){1,3}[a-z]{2,12}\b",
        EMAIL,
        folded=True,
    ),
    Rule(
        "account on a machine",
        (("@",),),
        r"(?<![\w.%+/@:-])([A-Za-z_][A-Za-z0-9_.-]{0,31}+)@((?:\d{1,3}\.){3}\d{1,3})(?![\w.])",
        _local_address,
    ),
    Rule(
        "account on a host",
        (("@",),),
        rf"(?<![{_LOCAL}/@:])([A-Za-z_][A-Za-z0-9_.]{{0,31}}+)@([A-Za-z][A-Za-z0-9-]{{2,62}}+)(?![\w./@(:-]*[\w/@(])",
        _local_address,
    ),
    Rule(
        "home directory",
        (("/home", "/users", "/mail/", "/cron/", "\\users", "\\home", "documents and settings", "/media/"),),
        r"(?=[/\\])(?:(?<![\w.])(?:/(?:var|export|usr|data|nfs|net|srv|storage|mnt/\w{1,16}|\w))?/home|/Users|(?<=[A-Za-z]:)/users|(?<![\w.])/(?:nfs|scratch|net|work|gpfs|lustre|srv|storage|exports?|vol\d{0,2})/users|(?<![\w.])/run/media|(?<![\w.])/media(?=/[a-z][\w.-]{1,31}/[A-Z0-9]{2,16}\b)|(?<=[A-Za-z]:)\\{1,4}(?:[Uu]sers|USERS)|/var/(?:spool/)?(?:mail|cron)|(?<=[\\/])\\Users|(?<![\w\\])\\{2,4}\w[\w.-]{0,63}\\{1,2}users|(?<=[A-Za-z]:)\\{1,4}Documents and Settings|(?<=\w)\\{1,2}home(?=\\))[/\\]{1,4}"
        r"(?P<user>[^/\\\s\"'`:,;)<>\]}*|$]{1,64}+(?:(?: [^/\\\s\"'`:,;)<>\]}|]{1,40}+){1,2}(?=[/\\]))?)",
        _home,
        named=True,
    ),
    Rule(
        "home directory of a URL",
        (("://",), ("/home/", "/users/")),
        r"(?:ssh|sftp|ftp|rsync|smb|nfs|vscode-remote|vscode|scp)://[\w.@:%+-]{1,128}+/(?:home|Users)/(?P<user>[^/\\\s\"'`:,;)<>\]}*|$]{1,64}+)",
        _home,
        named=True,
    ),
    Rule(
        "home directory of a project's directory",
        (("-home-", "-users-"),),
        r"(?<![\w.-])(?P<at>(?:-|[A-Z]--)(?:Users|home)-)(?P<user>[^-/\\\s\"'`:,;)<>]{1,64}+)",
        _home,
        named=True,
    ),
    Rule("home directory of a test", (("pytest-of-", "hsperfdata_"),), r"(?<=/)(?:pytest-of-|hsperfdata_)(?P<user>[A-Za-z_][\w.-]{1,31}+)", _home, named=True),
    Rule("home directory by a tilde", (("~",),), r"(?<![\w/~.=-])~(?P<user>[A-Za-z_][\w.-]{1,31}+)(?=/|(?<= ~[A-Za-z])\Z)", _home, named=True),
    Rule(
        "user as programs print it",
        (("rw", "r-", "uid=", "gid=", ":x:", "user=", "username=", "logname=", "chown ", "sudo: ", " for ", "uid: ("),),
        r"(?:(?<![\w-])[-dlbcps](?:[r-][w-][xsStT-]){3}[.+@]?\s{1,4}\d{1,6}\s{1,4}|\b(?:[ug]id|groups)=\d{1,10}\(|\b(?:SUDO_)?(?:USER|USERNAME|LOGNAME)=[\"']?"
        r"|\bchown (?:-\w{1,4} )?|\bsudo: {1,4}|\b(?:Accepted|Failed) [\w/-]{1,24} for (?:invalid user )?|\bsession (?:opened|closed) for user |[UG]id: \( {0,4}\d{1,10}/ {0,8})"
        r"(?P<user>[A-Za-z_][\w.-]{1,31}+)(?P<group>(?:\s{1,12}[A-Za-z_][\w.-]{1,31}+(?=\s{1,12}\d)|:[A-Za-z_][\w.-]{1,31}+(?= )))?(?![\w/(:$@])",
        _owner,
    ),
    Rule(
        "user of a field or a command",
        (("user", "login", "su - ", "sudo -", "todo(", "fixme(", "xxx(", "hack(", "psql ", "ssh ", "crontab", "whoami", " | 20", "pull request #"),),
        r"(?:(?<![A-Za-z])(?:user[_-]?name|userName|login(?:_?name)?|nick(?:name)?|account_?name)[\"']?\s{0,3}[:=]\s{0,3}(?:[\"']|(?=[a-z][a-z\d._-]{2,31}\s{0,3}(?:\n|\Z)))|\b(?:[Uu]ser|[Aa]ccount) (?=[\w.-]{3,32} (?:logged|signed|failed|connected|authenticated|not found)\b)|\bsu -l? ?|\b(?:sudo|crontab|runuser) -\w{0,4}u |\br\d{1,9} \| (?=[\w.@-]{2,38} \| \d{4}-)|\bwhoami\s{0,2}\n\s{0,8}|\b(?:user(?:add|mod|del)|adduser) (?:-\S{1,16} ){0,3}|\b(?:TODO|FIXME|XXX|HACK)\(@?|\bpsql\b[^\n|;&]{0,60}?-U ?|\bssh\b[^\n|;&]{0,60}? -l ?|(?<![\w-])--user(?:name)?[ =]|\bpull request #\d{1,6} from (?=[\w-]{2,38}/))"
        r"(?P<user>[A-Za-z_][\w.-]{1,31}+)(?![\w(:$@=])",
        _named_user,
    ),
    Rule(
        "user of a domain",
        (("\\",), ("user", "account", "login", "logged", "signed", " as ", " for ")),
        r"(?:(?:\b[Uu]ser|[Aa]ccount|[Ll]ogin|\bas|\bfor)[ :=]{1,2}[\"']?[A-Z][A-Z0-9-]{1,15}+\\{1,2}(?P<user>[A-Za-z][\w.-]{1,31}+)|(?<![\w\\])[A-Z][A-Z0-9-]{1,15}+\\{1,2}(?P<other>[A-Za-z][\w.-]{1,31}+)(?= (?:logged|signed|failed|connected)))",
        lambda match, text: f"{text[match.start() : match.start(match.lastindex or 0)]}{USER}",
    ),
    Rule(
        "process of a user",
        (("  ", " pts/", " tty", "console"), (".", ":")),
        r"(?m)^(?P<user>[a-z_][\w.-]{1,31}+)(?=\s{1,12}(?:\d{1,8}\s{1,6}\d{1,3}\.\d\s{1,6}\d{1,3}\.\d\s|(?:pts/\d|tty\d|console\s{1,6}\w)))",
        _named_user,
    ),
    Rule(
        "person in a messenger",
        (("skype", "telegram", "discord", "jabber", "<@u", "<@w", "handle"),),
        r"(?:(?i:\b(?:skype|telegram|discord|jabber|handle)(?: id| user(?:name)?| handle)?\s?[:=]\s?(?:live:|@)?)(?P<user>[a-z][a-z0-9]{0,24}(?:[._-][a-z0-9]{1,24}|\d){1,3}+|(?<=@)[a-z]\w{3,30}+)|(?P<id><@[UW][A-Z0-9]{7,14}>))(?![\w/(])",
        lambda match, text: f"{text[match.start() : match.start('user')]}{USER}" if match["user"] else f"<@{USER}>",
    ),
    Rule(
        "page of a person",
        (("linkedin.com/in/", "github.com/", "gitlab.com/", "twitter.com/", "//x.com/", "instagram.com/", "facebook.com/", "t.me/", "keybase.io/"),),
        r"(?:linkedin\.com/in|(?<=//)(?:www\.)?(?:github|gitlab|twitter|x|instagram|facebook)\.com|t\.me|keybase\.io)/@?(?!(?:features|orgs|about|login|settings|explore|search|share|intent|sponsors|marketplace|apps)\b)(?P<user>[A-Za-z0-9][\w.-]{2,38}+)/?(?![\w/-])",
        _named_user,
    ),
    Rule(
        "machine that is named after its owner",
        (("macbook", "-mbp", "-imac", "-laptop", "-thinkpad", "-iphone", "-ipad", "-desktop", "-pc"),),
        r"(?<![\w.@/-])(?P<user>[A-Za-z]{3,20}+)(?=[-_](?:macbook|mbp|imac|laptop|thinkpad|iphone|ipad|desktop|pc)(?:[-_.]\w{1,12}){0,3}(?![\w/]))",
        _named_user,
        folded=True,
    ),
    Rule(
        "line of passwd",
        ((":x:",),),
        r"(?m)^(?P<user>[a-z_][\w.-]{0,31}+):x:(?P<id>\d{1,10}):\d{1,10}:[^:\n]{0,128}+(?=:)",
        _account,
    ),
    Rule(
        "number",
        (),
        r"[+(\d](?<![\w.+/-].)(?:(?<=\+)\()?(?:[ ().\-/]{0,2}\d){6,26}+(?![\w/]|[.:-]\d)",
        _number,
    ),
    Rule("telephone in a link", (("wa.me/", "tel:", "sms:", "callto:"),), r"(?:(?<=wa\.me/)|(?<=tel:)|(?<=sms:)|(?<=callto:))\+?\d{7,15}+", "<phone>"),
    Rule("account of a bank", (), r"[A-Z](?<![\w-].)[A-Z]\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,4})?(?![\w-])", _iban),
    Rule(
        "account of a bank in small letters",
        (("iban",),),
        r"(?<![\w-])[a-z]{2}\d{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,4})?(?![\w-])",
        _iban,
        folded=True,
    ),
    Rule(
        "national number",
        (_WITH_DIGITS, ("ssn", "pesel", "passport", "passeport", "paszport", "nino", "vat", "driver", "führerschein", "krs", "routing", "account n", "sort code", "insurance n", "ni number", "steuer", "bsn", "cpf", "cpr", "cnp", "pps", "tunnus", "rodné", "pan ", "dni", "nif", "curp", "aadhaar", "personnummer", "dowod", "dowód", "national id", "tax id", "nip", "ausweis", "curité sociale", "curite sociale", "nhs n", "codice fiscale", "reisepass", "regon", "mrn", "imei", "tfn", "dl#", "dl #", "ein", "sin ", "sin:", "udid", "vin", "policy", "member n", "patient n", "patient id", "swift", "bic", "insurance", "versicher", "id card", "identity card", "licence n", "license n", "prawo jazdy")),
        r"\b(?:ssn|pesel|passport|passeport|paszport\w{0,3}|vat(?: id| reg)?|krs|routing|account(?= n)|sort code(?: [\d-]{8} account)?|reisepass|nino|national insurance|steuer-?(?:id(?:nr|entifikationsnummer)?|nummer)|bsn|cpf|cpr|cnp|pps|henkilötunnus|rodné číslo|pan(?= [a-z]{5}\d{4}[a-z]\b)|dni|nif|nip|curp|aadhaar|personnummer|dow[oó]d\w{0,8}(?: osobist\w{1,3})?|national id|tax id|(?:personal)?ausweis(?:nummer)?|ni number"
        r"|s[eé]curit[eé] sociale|nhs|codice fiscale|regon|mrn|imei|tfn|dl(?=\s?#)|ein(?=\W{1,3}\d\d-\d{7})|sin(?=\W{1,3}\d{3}[ -]?\d{3}[ -]?\d{3}\b)|udid|vin|(?:insurance )?policy|(?:insurance|member|patient)(?= n| id)(?: id)?|(?:sozial|renten|kranken)?versichert?(?:ung)?(?:en)?s?nummer|id(?:entity)? card|(?:driving |driver'?s? )licen[cs]e|licen[cs]e(?= n)|führerschein|prawo jazdy)"
        r"(?:[\s_-]{0,2}(?:no\.?|number|nr\.?|num|#))?(?!\w)[\s:=#\"']{1,4}(?=[a-z0-9 ./-]{0,12}\d{2})(?P<value>[a-z0-9](?:[ ./-]?[a-z0-9]){5,20}+)",
        lambda match, text: f"{text[match.start() : match.start('value')]}<id-number>" if sum(sign in _DIGITS for sign in match["value"]) >= 5 else None,
        folded=True,
    ),
    Rule(
        "code of a bank",
        (("swift", "bic"),),
        r"\b(?i:swift|bic)(?i:[/ -](?:swift|bic|code))?[:\s]{1,3}(?P<value>[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)(?!\w)",
        lambda match, text: f"{text[match.start() : match.start('value')]}<id-number>",
    ),
    Rule(
        "day of birth",
        (_WITH_DIGITS, ("born", "birth", "dob", "geboren", "geb.", "geburt", "urodz", "ur. ", "nacido", "né le", "née le")),
        r"\b(?:born(?: on)?|(?:date[_ -]?of[_ -]?)?birth(?:[_ -]?(?:day|date))?|dob|geboren(?: am)?|geb\.|geburts(?:datum|tag)|(?:data )?urodz\w{1,7}|ur\.|nacid[oa](?: el)?|née? le)"
        r"[\"']?\s{0,3}[:=|]?\s{0,3}[\"']?(?P<value>\d{1,4}[-./ ]\d{1,2}[-./ ]\d{2,4}|\d{1,2}\.? [a-zà-ž]{3,12}\.? \d{4}|[a-z]{3,9} \d{1,2}, \d{4})(?!\d)",
        lambda match, text: f"{text[match.start() : match.start('value')]}<birth-date>",
        folded=True,
    ),
    Rule(
        "place by its coordinates",
        (_WITH_DIGITS, ("lat", "lon", "lng", "gps", "location", "coord", "geo", "position", "point(", "maps"), (".",)),
        r"(?<![a-z])(?:gps_?)?(?:lat(?:itude)?|lon(?:gitude)?|lng|gps|location|coord\w{0,8}|geo(?:point)?|position|point|maps\S{0,40}?[?&/@](?:q=|ll=|@)?)"
        r"[\"']?[\s:=(\[\"']{0,4}(?P<value>-?\d{1,3}\.\d{3,15}+(?:(?:,\s?|\s|%2c)-?\d{1,3}\.\d{3,15}+)?)",
        lambda match, text: f"{text[match.start() : match.start('value')]}<place>",
        folded=True,
    ),
    Rule(
        "place by degrees",
        (("°", "deg"),),
        r"\d(?<![\w.].)\d{0,2}(?:\.\d{2,12}\s?°\s?[NSEW]\b|\s?(?:°|deg)\s?\d{1,2}\s?(?:'|\u2032)\s?\d{1,2}(?:\.\d{1,6})?\s?[\"″](?:\s?[NSEW]\b)?)",
        "<place>",
    ),
    Rule(
        "plate of a car",
        (_WITH_DIGITS, ("plate", "tablic", "rejestr", "kennzeichen", "reg ")),
        r"\b(?i:(?:number|licen[cs]e|car)? ?plate|tablic[aey]|nr rej\w{0,12}\.?|rejestracj\w{1,3}|kennzeichen|reg)(?i: (?:no|nr|number)\.?)?[\s:=\"']{1,3}(?P<value>(?=[A-Z -]{0,8}\d)[A-Z]{1,3}[ -]?[A-Z0-9]{1,5}(?:[ -][A-Z0-9]{1,4})?(?![\w-]))",
        lambda match, text: f"{text[match.start() : match.start('value')]}<plate>",
    ),
    Rule("address of a machine in its name", (("ip-", "ec2-"),), r"(?<![\w-])(?P<at>ip-|ec2-)\d{1,3}(?:-\d{1,3}){3}(?![\w-])", lambda match, _: f"{match['at']}<ip>"),
    Rule("address of a machine", ((".",),), r"\d(?<![\w.-].)\d{0,2}\.(?:\d{1,3}\.){2}\d{1,3}(?![\w-]|\.\w)", _ip4),
    Rule("address of a machine, v6", ((":",),), r"[0-9A-Fa-f](?<![\w:.].)[0-9A-Fa-f]{0,3}(?::{1,2}[0-9A-Fa-f]{1,4}){2,7}(?:::)?(?![\w]|:\w)", _ip6),
    Rule("address of a card, in threes", ((".",),), r"(?<![\w.-])(?=[0-9.]{0,13}[a-f])[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?![\w.-])", "<mac>", folded=True),
    Rule("address of a card", (("-",),), r"[0-9A-Fa-f](?<![\w-].)[0-9A-Fa-f](?:-[0-9A-Fa-f]{2}){5}(?![\w-])", "<mac>"),
    Rule(
        "person in a trailer",
        (_WITH_PAIRS, ("author", "contributor", "-by:", "commit", "from:", "to:", "cc:", "assignee", "reporter", "requester", "submitter", "approver", "editor", "translator", "contact", "name:", 'name":', "name=", "name =", "user.name", "speaker", "presenter", "attendee", "candidate", "applicant", "student", "tenant", "manager", "doctor", "maintainer", "reviewer", "customer", "recipient", "sender", "holder", "owner", "assigned", "kunde", "bearbeiter", "autor", "klient", "przypisan", "nazwisko")),
        rf"(?i:(?m:^)(?:author|committer) (?=[^\n:]{{1,60}}\n)|(?<![a-z])(?:(?:author|reviewer|maintainer|contributor)s?|commit(?:ter)?|(?:signed-off|co-authored|reviewed|acked|tested|reported|approved|suggested|helped)-by|from|to|cc|assignee|reporter|requester|submitter|approver|editor|translator|speaker|presenter|attendee|candidate|applicant|student|tenant|manager|doctor|contact|customer|recipient|sender|owner|assigned to|kunde|bearbeiter(?:in)?|autor|klient|przypisan[oya] do|nazwisko"
        rf"|(?:card|account)?[_ ]?holder|(?:full|user|first|last|real|author|display|customer|client|patient|employee|person|recipient|sender|owner)?[_ ]?name)[\"']?\s{{0,3}}[:=]\s{{0,8}}[\"']?|user\.name[\"']?\s{{1,3}}[\"']?)"
        rf"(?P<person>[{_CAPITAL}](?:[{_LETTER}.']|-[{_CAPITAL}]){{0,24}}+(?: [{_CAPITAL}][\w.'-]{{0,24}}+){{1,3}})(?=\s{{0,2}}[<(\"'\n,;]|\s{{0,2}}\Z)",
        _full_name,
    ),
    Rule(
        "first or last name",
        (("name", "nazwisko", "imię", "imie", "apellido", "cognome", "prénom"), (":", "=")),
        rf"(?i:\b(?:(?:first|last|given|family|middle|maiden)[_ -]?name|surname|vorname|nachname|nazwisko|imi[ęe]|prénom|apellidos?|cognome)[\"']?\s{{0,3}}[:=]\s{{0,3}}[\"']?)(?P<person>[{_CAPITAL}][{_LETTER}'-]{{1,24}}+(?:-[{_CAPITAL}][{_LETTER}]{{1,24}}+)?)(?=[\"'\n,;]|\Z)",
        _full_name,
    ),
    Rule(
        "person before an address",
        (_WITH_PAIRS, ("<email>",)),
        rf"(?<![\w.'-])(?P<person>[{_CAPITAL}][\w.'-]{{1,24}}+(?: [{_CAPITAL}][\w.'-]{{0,24}}+){{1,3}})(?=[\"']? ?[<(\[]{{1,2}}email>)",
        _full_name,
    ),
    Rule(
        "person in what git prints",
        (("(",), (" ago)", " ago,", ":")),
        rf"\((?P<person>[{_CAPITAL}][^\d()\n<>,]{{1,40}}+)(?=, \d{{1,3}} (?:second|minute|hour|day|week|month|year)s? ago|(?<= )\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}} )",
        _full_name,
    ),
    Rule(
        "person with a title",
        (("mr", "ms.", "ms ", "dr.", "dr ", "prof", "herr", "frau", "pani ", "pana ", "pan ", "monsieur", "madame", "señor", "dear ", "liebe", "drog", "szanown", " p. ", "p. "),),
        rf"\b(?:(?:(?:Mrs?\.?|Ms\.?|Dr\.?|Prof\.?|Herrn?|Frau|Pan(?:[ia]|(?= [{_CAPITAL}]\w{{2,20}} [{_CAPITAL}]))|[Pp]\.(?= [{_CAPITAL}][{_LETTER}]{{2}})|Monsieur|Madame|Señora?)(?: (?=(?:Dr|Prof)\.))?){{1,3}}|(?:Dear|Liebe[rs]?|Drog[ia]|Szanown[ay])(?= [^\n,!:]{{2,40}}[,!:\n])(?: (?:Mrs?\.?|Ms\.?|Dr\.?|Prof\.?|Herrn?|Frau|Pan[ia]?))?) "
        rf"(?P<person>{_LAST_NAME}(?: {_LAST_NAME})?)",
        _full_name,
    ),
    Rule(
        "first name of who is spoken to",
        (("hi ", "hello ", "hey ", "thanks ", "thank you", "cześć ", "hallo ", "dzięki ", "merci ", "danke "),),
        rf"\b(?:Hi|Hello|Hey|Thanks|Thank you|Cześć|Hallo|Dzięki|Merci|Danke),? (?P<person>(?P<given>[{_CAPITAL}][{_LETTER}]{{2,11}}+))(?=[,!.\n]|\Z)",
        _known_first_name,
    ),
    Rule(
        "person by a first name",
        (_WITH_PAIRS, (" ", ",")),
        rf"(?<![\w./@-])(?<!\w')(?P<given>[{_CAPITAL}](?:[{_LETTER}]{{2,11}}+|[{_CAPITAL}]{{2,11}}+))(?=(?: [{_CAPITAL}]\.)?(?: |[\"']?[,;] ?[\"']?)(?:(?:van|von|de|da|di|del|der|den|la) ){{0,2}}"
        rf"(?P<person>(?:O'|D'|Mc|Mac)?[{_CAPITAL}](?:[{_LETTER}]{{2,24}}+(?:-[{_CAPITAL}][{_LETTER}]{{2,24}}+)?|[{_CAPITAL}]{{2,24}}+))(?![\w(=/]))",
        _known_name,
        upto="person",
    ),
    Rule(
        "last name after two first names",
        (("<name> ",),),
        rf"(?<=<name>) (?P<person>[{_CAPITAL}][{_LETTER}]{{2,24}}+(?:-[{_CAPITAL}][{_LETTER}]{{2,24}}+)?)(?![\w(=/:]|[.]\w)",
        _last_name,
    ),
    Rule(
        "last name first",
        (_WITH_PAIRS, (", ",)),
        rf"(?<![\w.'/@-])(?P<person>[{_CAPITAL}][{_LETTER}]{{2,24}}+(?:-[{_CAPITAL}][{_LETTER}]{{2,24}}+)?), (?P<given>[{_CAPITAL}][{_LETTER}]{{2,11}}+)(?=[\n;<(\"']|\Z)",
        _known_name,
    ),
    Rule(
        "person who is mentioned",
        (("@",), ("thank", "thx", "cc", "by", "from", "author", "assign", "review", "ping", "kudos", "credit", "hey", "hi ", "follow", "ask", "dm ", "tell", "contact", "/cc", "mention", " you", "please", "pls", "any", " @")),
        r"(?:(?m:^)@(?P<spoken>[A-Za-z][\w.-]{2,38}+)(?=,? (?:can|could|would|will|do|did|please|pls|any|have) )|(?:(?m:^)(?:/?\w[\w./-]{0,64}/\*{0,2}|/\w[\w./-]{0,64}|\*\.\w{1,8})\s{1,8}@|(?<![\w-])(?i:thanks(?: to)?|thank you|thx|cc|by|from|author|assigned to|assignee|reviewers?|ping|kudos(?: to)?|credits?(?: to)?|hey|hi|follow|ask|dm|tell|contact|mention(?:ed|ing)?):?,? @)(?!agent)(?P<user>[A-Za-z][\w-]{2,38}+)(?![\w/(\[]|\.\w))",
        _mentioned,
    ),
    Rule(
        "person who does something",
        (_WITH_PAIRS, (*(f" {verb}" for verb in (*_VERBS, *_VERBS_BEGUN, "will ", "born")), "'s ", " am", " pm")),
        rf"(?<![\w.'-])(?P<person>(?:[{_CAPITAL}]\.|{_GIVEN_NAME}) (?:{_GIVEN_NAME} |[{_CAPITAL}]\. )?{_LAST_NAME})"
        rf"(?:(?: \([^()\n]{{1,20}}\))? (?:(?:has|had|have|also|just|then) )?(?:{'|'.join(_VERBS)}|(?:{'|'.join(_VERBS_BEGUN)})\w{{0,3}}|will (?:review|look|check|send|join|take|handle|call|fix|write|ask))\b"
        r"|,? born\b|'s (?:laptop|machine|account|phone|desk|branch|fork|code|fix|commit|comment|review|change|password|key|office|team|mail|request|patch|PR)\b|\s{1,3}\d\d?:\d\d [AP]M\b)",
        _full_name,
    ),
    Rule(
        "person who is spoken of",
        (_WITH_PAIRS, ("ask", "cc ", "told", "tell ", "contact", "call", "ping", "mail", "meet", "met ", "spoke", "talk", "by ", "behalf", "thank", "according to", "holder", "@author", "hi ", "hello ", "hey ", "cheers", "best", "kudos", "credit", "employee", "patient", "client", "customer", "attendee", "regards", "signed", "sincerely", "kontakt", "sił", "tał", "sał", "wił", "dał", "ział", "copyright", "(c)", "pozdraw", "uczestni")),
        rf"(?<!\w)(?i:(?:ask|cc|asked|told|tell|contact|call|called|ping|e-?mail|e-?mailed|meet|met|invited?)(?: to| with)?|(?:spoke|spoken|talk|talked|meeting|chat|call|interview)(?: to| with)|(?:assigned|reported|escalated|forwarded|sent) (?:to|by)|by|on behalf of|according to|card ?holder|@author|(?:hi|hello|hey|thanks|thank you|cheers|best)(?=,? [\w-]{{2,24}} [\w'-]{{2,24}}(?:[,!.\n]|\Z))|thanks to|kudos to|credits? to|employee|patient|client|customer|attendees|(?:best |kind )?regards|signed|sincerely|kontakt|(?:zgłosi|(?:za)?pyta|(?:po)?prosi|napisa|mówi|powiedzia|doda|poprawi)ła?|copyright(?: \(c\)| ©)?(?: \d{{4}}(?:-\d{{4}})?)?|\(c\) \d{{4}}|pozdrawiam|uczestnicy)[,:]?\s"
        rf"(?P<person>{_GIVEN_NAME} {_LAST_NAME})(?![\w(=/]|[.:]\w| [{_CAPITAL}])",
        _full_name,
    ),
    Rule(
        "street as a field",
        (_WITH_DIGITS, ("street", "address", "ulica", "adres", "strasse", "straße"), (":", "=")),
        rf"(?i:\b(?:street(?:[_ ]?(?:address|name|line))?|(?:home|postal|billing|shipping)?[_ ]?address(?:[_ ]?line)?[_ ]?[12]?|ulica|adres|stra(?:ss|ß)e)[\"']\s{{0,3}}[:=]\s{{0,3}}[\"'])"
        rf"(?=[^\"'\n]{{0,80}}\d)(?=[^\"'\n]{{0,80}}[{_LETTER}]{{3}})(?=[^\"'\n]{{1,80}} )(?P<value>[{_CAPITAL}0-9][^\"'\n]{{4,120}}+)",
        lambda match, text: f"{text[match.start() : match.start('value')]}<address>",
    ),
    Rule(
        "postcode",
        (_WITH_DIGITS, ("zip", "postcode", "plz", "postal code")),
        r"\b(?:zip(?: code)?|postal code|post ?code|plz)[\"']?\s{0,2}[:=]?\s{0,2}[\"']?(?P<value>\d{5}(?:-\d{4})?(?! [a-z])|[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2})(?![\w.-]|:\d)",
        lambda match, text: f"{text[match.start() : match.start('value')]}<address>",
        folded=True,
    ),
    Rule(
        "address after its name",
        (_WITH_DIGITS, ("adres", "address", "anschrift", "dirección", "indirizzo", "zamieszk", "mieszka", "lives at", "kod pocztowy", "postcode", "zip")),
        rf"(?i:\b(?:(?:home|postal|billing|shipping|street)?[ _]?address|adres(?:se| zamieszkania)?|anschrift|dirección|indirizzo|zamieszkał[ay]?|mieszka|lives at|kod pocztowy|post(?:al )?code|zip(?: code)?)[\"']?(?:\s{{0,2}}[:=]|\s(?:w|na|przy))?\s{{1,2}}[\"']?)"
        rf"(?P<value>(?:[{_CAPITAL}][\w.'-]{{1,24}}+ ){{1,3}}\d{{1,4}}[a-zA-Z]?(?:/\d{{1,4}})?(?![\w.:])(?:, ?\d{{2}}-?\d{{3}} [{_CAPITAL}]\w{{1,24}}+)?|\d{{2}}-\d{{3}}(?: [{_CAPITAL}]\w{{1,24}}+)?(?![\w-])|\d{{1,5}}[A-Za-z]? (?:[{_CAPITAL}][\w.'-]{{1,24}}+ ?){{1,4}}(?:, [{_CAPITAL}][\w ]{{1,40}}+)?)",
        lambda match, text: f"{text[match.start() : match.start('value')]}<address>",
    ),
    Rule(
        "street",
        (_WITH_DIGITS, ("ul.", "ulica", "ulicy", "al.", "alej", "plac ", "pl.", "os.", "osiedle")),
        rf"(?<!\w)(?i:ul\.|ulic[ay]|al\.|alej[ae]|pl\.|plac|os\.|osiedle)\s{{0,2}}[{_CAPITAL}0-9][\w.-]{{1,30}}+(?: [\w.-]{{1,30}}+){{0,3}}? \d{{1,4}}[A-Za-z]?(?:\s?[/m.]{{1,2}}\s?\d{{1,4}})?(?:, ?\d{{2}}-\d{{3}} [{_CAPITAL}]\w{{1,30}})?",
        "<address>",
    ),
    Rule(
        "street, English",
        (_WITH_DIGITS, ("street", " st", "road", " rd", "avenue", " ave", "lane", "drive", "boulevard", "blvd", "court", "square", "terrace", " way", "close", "pkwy", "parkway", "hwy", "highway")),
        rf"\d(?<![\w.-].)\d{{0,4}}[A-Za-z]?,? (?:[{_CAPITAL}][\w.'-]{{1,20}}+ ){{1,3}}?(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Square|Sq|Terrace|Way|Close|Pkwy|Parkway|Hwy|Highway)\b\.?",
        "<address>",
    ),
    Rule(
        "street, German",
        (_WITH_DIGITS, ("straße", "strasse", "str.", "weg ", "platz ", "gasse ", "allee ", "damm ")),
        rf"(?<!\w)(?:[{_CAPITAL}][\w.-]{{1,24}}+ ){{0,2}}?(?:[{_CAPITAL}][{_LETTER}-]{{0,30}}?(?:straße|strasse|str\.|weg|platz|gasse|allee|damm)|(?<=[{_LETTER}] )(?:Straße|Strasse|Str\.|Allee|Damm)) \d{{1,4}}[a-z]?(?:, ?\d{{5}} [{_CAPITAL}]\w{{1,30}})?",
        "<address>",
    ),
    Rule(
        "street and postcode",
        (_WITH_DIGITS, (", ", "box ", "postfach", "-")),
        rf"(?<![\w.-])(?:\d{{1,5}} (?:[{_CAPITAL}]\w{{1,20}}+ ?){{1,4}}, (?:[{_CAPITAL}]\w{{1,20}}+ ?){{1,3}}, [A-Z]{{2}} \d{{5}}|\d\d-\d{{3}} [{_CAPITAL}][{_LETTER}]{{3,24}}|[{_CAPITAL}][{_LETTER}]{{2,24}}+ \d{{1,4}}[a-z]?, (?:\d{{4}} [A-Z]{{2}}|\d{{5}}|\d{{3}} \d\d) [{_CAPITAL}][{_LETTER}]{{1,24}}|(?:P\.? ?O\.? Box|Postfach|(?i:skrytka pocztowa)) \d{{1,6}})(?!\w)",
        "<address>",
    ),
    Rule(
        "street, French, Spanish, Italian",
        (_WITH_DIGITS, ("rue ", "avenue ", "boulevard ", "calle ", "via ")),
        rf"(?<!\w)(?:\d{{1,4}}(?: bis| ter)?,? (?i:rue|avenue|boulevard|place) (?:(?:de|du|des|la|le|l'|d')\s?){{0,3}}[{_CAPITAL}][\w'-]{{1,30}}+(?: [{_CAPITAL}][\w'-]{{1,30}}+){{0,3}}"
        rf"|(?:Calle|Via|via(?= [^\n,\d]{{3,40}}\d{{1,4}}, \d{{5}} )|Avenida) (?:(?:de|del|la|el)\s){{0,2}}[{_CAPITAL}][\w'-]{{1,30}}+(?: [{_CAPITAL}][\w'-]{{1,30}}+){{0,3}},? \d{{1,4}})",
        "<address>",
    ),
)
"""In this order: what a rule has replaced the next one does not see."""
# fmt: on

_COMPILED: Final[dict[str, re.Pattern[str]]] = {}
_SHORTEST: Final = 5


def mask(text: str) -> str:
    """Replace everything in a text that is shaped like a credential or a person's data; what nobody looked at is left out, and said."""
    if len(text) < _SHORTEST:
        return text
    if len(text) > LIMIT:
        return f"{mask(text[:LIMIT])}… ({len(text) - LIMIT:,} more characters)"
    folded = _fold(text)
    marked = _marked(text, folded)
    for rule in RULES:
        for gate in rule.gates:
            for word in gate:
                if word in marked:
                    break
            else:
                break
        else:
            found = _applied(rule, text, folded)
            if found is not text:
                text, folded = found, _fold(found)
                marked = _marked(text, folded)
    return text


def mask_name(text: str, put: Callable[[str, str], str]) -> str:
    """Replace in an id, a project's name or a path what has an unmistakable shape.

    Args:
        text: The name; one without such a thing is returned as it is.
        put: From the rule's name and the text that must go to what stands in its place: the same for the same text, another for another.

    """
    folded = _fold(text)
    for rule in NAMED:
        if all(any(word in folded for word in gate) for gate in rule.gates):
            text = _named(rule, text, put)
    for part in _NAME_PARTS.findall(text):
        inside = _key_inside().search(part)
        key = part if not part.startswith(_IDS) and _follows_prefix(part) else part[inside.start() + 1 :] if inside else ""
        if key and _follows_prefix(key):
            text = text.replace(key, put("key", key))
    return text


NAMED: Final = tuple(rule for rule in RULES if rule.named)
_NAME_PARTS: Final = re.compile(r"(?<![\w.-])[\w.-]{16,}+")


def _key_inside() -> re.Pattern[str]:
    """Where a key begins in the middle of a name; compiled when it is first asked, for a hook never does."""
    found = _COMPILED.get("key inside")
    if found is None:
        unmistakable = (each for each in _PREFIXES if len(each) > 3 and each[-1] in "_-." and each not in _ALSO_NAMES)
        found = _COMPILED["key inside"] = re.compile("[-_.](?:" + "|".join(map(re.escape, unmistakable)) + ")")
    return found


def _named(rule: Rule, text: str, put: Callable[[str, str], str]) -> str:
    pieces: list[str] = []
    end = 0
    for match in _pattern(rule).finditer(text):
        if not isinstance(rule.put, str) and rule.put(match, text) is None:
            continue
        group = "user" if "user" in match.re.groupindex else 0
        start, stop = match.span(group)
        pieces += [text[end:start], put(rule.name, text[start:stop])]
        end = stop
    return "".join([*pieces, text[end:]]) if pieces else text


def _applied(rule: Rule, text: str, folded: str) -> str:
    pieces: list[str] = []
    end = 0
    put = rule.put
    for match in _pattern(rule).finditer(folded if rule.folded else text):
        if match.start() < end:
            continue
        said = put if isinstance(put, str) else put(match, text)
        if said is not None:
            pieces += [text[end : match.start()], said]
            end = match.end(rule.upto)
    return "".join([*pieces, text[end:]]) if pieces else text


def _pattern(rule: Rule) -> re.Pattern[str]:
    found = _COMPILED.get(rule.name)
    if found is None:
        found = _COMPILED[rule.name] = re.compile(rule.pattern)
    return found


_A_DIGIT: Final = re.compile(r"\d")
_A_PAIR: Final = re.compile(rf"(?<!\w)[{_CAPITAL}][\w.'-]{{0,52}}+[ ,;\"']{{1,3}}(?:[a-z]{{2,3}} ){{0,2}}[{_CAPITAL}]")


def _marked(text: str, folded: str) -> str:
    """The text in lower case, and the signs of what its letters no longer show, or show slowly."""
    return f"{folded}{_WITH_DIGITS[0] if _A_DIGIT.search(text) else ''}{_WITH_PAIRS[0] if _A_PAIR.search(text) else ''}"


def _fold(text: str) -> str:
    """The text in lower case, as long as it was: of all letters only İ becomes two."""
    folded = text.lower()
    return folded if len(folded) == len(text) else text.replace("İ", "I").lower()
