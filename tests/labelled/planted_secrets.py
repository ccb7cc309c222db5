"""Texts with credentials and personal data of invented people, each with what must not be left of it.

Drawn from a seed, so that nothing in the repository is shaped like a key: what is written here are the texts around them. `benign` are the
lines that look like such texts and are none.
"""

from __future__ import annotations

import base64
import random
import string
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

LOWER: Final = string.ascii_lowercase
UPPER: Final = string.ascii_uppercase
DIGITS: Final = string.digits
MIXED: Final = string.ascii_letters + DIGITS
HEX: Final = "0123456789abcdef"
URLSAFE: Final = MIXED + "-_"
BASE64: Final = MIXED + "+/"
BASE32: Final = UPPER + "234567"

_GIVEN: Final = ("Zofia", "Marek", "Oona", "Tadeusz", "Imelda", "Casper", "Ludwika", "Henrike", "Solveig", "Bartosz")
_FAMILY: Final = (
    "Borowska",
    "Quillfeather",
    "Nyström",
    "Wrzesień",
    "Ostrander",
    "Halvorsen",
    "Delacroix",
    "Kettunen",
    "Marchetti",
    "Szulc",
)
_WORDS: Final = (
    "amber",
    "canoe",
    "drift",
    "ember",
    "fjord",
    "glade",
    "heron",
    "ivory",
    "lumber",
    "meadow",
    "orbit",
    "pebble",
    "quartz",
    "river",
)


class Planted(NamedTuple):
    """A text; `leak` is what must not be in it any more."""

    group: str
    kind: str
    text: str
    leak: str


class Draw:
    """What is drawn at random."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.choice = self._random.choice
        self.number = self._random.randint

    def of(self, alphabet: str, length: int) -> str:
        """Characters, two digits and both cases among them where the alphabet has such."""
        signs = [self._random.choice(alphabet) for _ in range(length)]
        for kind in (LOWER, UPPER, DIGITS, DIGITS):
            some = [sign for sign in alphabet if sign in kind]
            if some and length >= 8:
                signs[self._random.randrange(length)] = self._random.choice(some)
        return "".join(signs)

    def password(self) -> str:
        """As people make them up."""
        return f"{self.choice(_WORDS).title()}{self.number(100, 99999)}{self.choice(['', '!', '#', 'x'])}"

    def phrase(self, count: int, between: str = " ") -> str:
        """Words."""
        return between.join(self.choice(_WORDS) for _ in range(count))

    def given(self) -> str:
        """A person's first name."""
        return self.choice(_GIVEN)

    def family(self) -> str:
        """A person's last name."""
        return self.choice(_FAMILY)

    def login(self) -> str:
        """A user's name on a machine."""
        return f"{self.given()[0]}{self.choice(['borowska', 'quill', 'nystrom', 'ostrander', 'szulc', 'kettunen'])}".lower()

    def card(self) -> str:
        """Sixteen digits with Luhn's sum."""
        start = "4" + self.of(DIGITS, 14)
        return next(start + last for last in DIGITS if _luhn(start + last))

    def pesel(self) -> str:
        """A Polish number with its check."""
        start = f"{self.number(50, 99)}{self.number(1, 12):02}{self.number(1, 28):02}{self.number(0, 9999):04}"
        return start + str(-sum(int(sign) * weight for sign, weight in zip(start, (1, 3, 7, 9) * 3, strict=False)) % 10)

    def iban(self) -> str:
        """An account's number with its check."""
        account = self.of(DIGITS, 18)
        check = 98 - int(account + "131400") % 97
        return f"DE{check:02}{account}"


def _polish_account(draw: Draw) -> str:
    account = draw.of(DIGITS, 24)
    return f"{98 - int(account + '252100') % 97:02} " + " ".join(account[at : at + 4] for at in range(0, 24, 4))


def _luhn(digits: str) -> bool:
    return sum(int(sign) if place % 2 == 0 else sum(divmod(2 * int(sign), 10)) for place, sign in enumerate(reversed(digits))) % 10 == 0


def _prefixed(prefix: str, length: int, alphabet: str = MIXED, around: str = "we used {} for the run") -> Callable[[Draw], tuple[str, str]]:
    def make(draw: Draw) -> tuple[str, str]:
        secret = prefix + draw.of(alphabet, length)
        return around.format(secret), secret

    return make


def _of(around: str, secret: Callable[[Draw], str]) -> Callable[[Draw], tuple[str, str]]:
    def make(draw: Draw) -> tuple[str, str]:
        said = secret(draw)
        return around.format(said), said

    return make


def _jwt(draw: Draw) -> str:
    parts = (b'{"alg":"HS256"}', f'{{"sub":"{draw.number(10**6, 10**9)}"}}'.encode())
    return ".".join([base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts] + [draw.of(URLSAFE, 43)])


def _pem(kind: str, *, ended: bool = True) -> Callable[[Draw], tuple[str, str]]:
    def make(draw: Draw) -> tuple[str, str]:
        lines = [draw.of(BASE64, 64) for _ in range(4)]
        dashes = "-" * 5
        end = f"\n{dashes}END {kind}{dashes}" if ended else ""
        return f"{dashes}BEGIN {kind}{dashes}\n" + "\n".join(lines) + end, lines[1]

    return make


def _basic(draw: Draw) -> str:
    return base64.b64encode(f"{draw.login()}:{draw.password()}".encode()).decode()


def _uuid(draw: Draw) -> str:
    return "-".join(draw.of(HEX, length) for length in (8, 4, 4, 4, 12))


def _aws_secret(draw: Draw) -> str:
    return draw.of(BASE64, 18).replace("/", "a") + "/" + draw.of(MIXED, 21)


_CREDENTIALS: Final[dict[str, Callable[[Draw], tuple[str, str]]]] = {
    "aws access key": _prefixed("AKIA", 16, BASE32, "aws_access_key_id = {}"),
    "aws temporary key": _prefixed("ASIA", 16, BASE32),
    "aws secret key, assigned": _of("AWS_SECRET_ACCESS_KEY={}", _aws_secret),
    "aws secret key, in prose": _of("his secret access key was {} all along", _aws_secret),
    "aws session token": _of("export AWS_SESSION_TOKEN={}", lambda draw: draw.of(BASE64, 120)),
    "google api key": _prefixed("AIza", 35, URLSAFE),
    "google access token": _prefixed("ya29.", 60, URLSAFE, "Authorization: Bearer {}"),
    "google client secret": _prefixed("GOCSPX-", 28, URLSAFE),
    "google service account": _of('{{"type": "service_account", "private_key_id": "{}"}}', lambda draw: draw.of(HEX, 40)),
    "azure client secret": _of("the app's client secret {} expires soon", lambda draw: f"{draw.of(MIXED, 3)}8Q~{draw.of(MIXED, 34)}"),
    "azure account key": _of("AccountName=acme;AccountKey={};EndpointSuffix=x", lambda draw: draw.of(MIXED, 86) + "=="),
    "azure sas": _of("https://acme.example/c?sv=2024&sp=r&sig={}&se=2030", lambda draw: draw.of(MIXED, 43) + "%3D"),
    "github classic": _prefixed("ghp_", 36),
    "github app": _prefixed("ghs_", 36, MIXED, "remote: x-access-token {}"),
    "github fine-grained": _prefixed("github_pat_", 82, MIXED + "_"),
    "gitlab": _prefixed("glpat-", 20, URLSAFE),
    "gitlab trigger": _prefixed("glptt-", 40, HEX),
    "slack user": _of("xox token {}", lambda draw: f"xoxp-{draw.of(DIGITS, 12)}-{draw.of(DIGITS, 12)}-{draw.of(MIXED, 24)}"),
    "slack app": _of("{}", lambda draw: f"xapp-1-A{draw.of(UPPER, 9)}-{draw.of(DIGITS, 12)}-{draw.of(HEX, 64)}"),
    "slack webhook": _of("https://hooks.slack.com/services/T0AB12CD3/B0AB12CD3/{}", lambda draw: draw.of(MIXED, 24)),
    "discord webhook": _of("https://discord.com/api/webhooks/1122334455667788/{}", lambda draw: draw.of(URLSAFE, 68)),
    "discord bot": _of("bot token {}", lambda draw: f"M{draw.of(MIXED, 25)}.{draw.of(MIXED, 6)}.{draw.of(URLSAFE, 38)}"),
    "stripe secret": _prefixed("sk_live_", 24),
    "stripe restricted": _prefixed("rk_test_", 24),
    "stripe webhook": _prefixed("whsec_", 32),
    "npm": _prefixed("npm_", 36, MIXED, "//registry.npmjs.org/:_authToken={}"),
    "pypi": _prefixed("pypi-AgEI", 60, URLSAFE),
    "rubygems": _prefixed("rubygems_", 48, HEX),
    "docker hub": _prefixed("dckr_pat_", 27, URLSAFE),
    "openai": _prefixed("sk-", 48),
    "openai project": _prefixed("sk-proj-", 64, URLSAFE),
    "anthropic": _prefixed("sk-ant-api03-", 93, URLSAFE),
    "hugging face": _prefixed("hf_", 34, LOWER + UPPER),
    "replicate": _prefixed("r8_", 37),
    "groq": _prefixed("gsk_", 52),
    "sendgrid": _of("{}", lambda draw: f"SG.{draw.of(URLSAFE, 22)}.{draw.of(URLSAFE, 43)}"),
    "mailgun": _prefixed("key-", 32, HEX),
    "mailchimp": _of("chimp {}", lambda draw: f"{draw.of(HEX, 32)}-us12"),
    "twilio key": _prefixed("SK", 32, HEX),
    "twilio token": _of("TWILIO_AUTH_TOKEN={}", lambda draw: draw.of(HEX, 32)),
    "telegram": _of("bot {}", lambda draw: f"{draw.of(DIGITS, 10)}:AA{draw.of(URLSAFE, 33)}"),
    "shopify": _prefixed("shpat_", 32, HEX),
    "digitalocean": _prefixed("dop_v1_", 64, HEX),
    "databricks": _prefixed("dapi", 32, HEX),
    "vault": _prefixed("hvs.", 24),
    "terraform": _of("{}", lambda draw: f"{draw.of(MIXED, 14)}.atlasv1.{draw.of(MIXED, 64)}"),
    "atlassian": _prefixed("ATATT3x", 60, URLSAFE),
    "linear": _prefixed("lin_api_", 40),
    "notion": _prefixed("ntn_", 46),
    "grafana": _prefixed("glsa_", 32),
    "new relic": _prefixed("NRAK-", 27, UPPER + DIGITS),
    "doppler": _prefixed("dp.pt.", 43),
    "postman": _of("{}", lambda draw: f"PMAK-{draw.of(HEX, 24)}-{draw.of(HEX, 34)}"),
    "square": _prefixed("sq0atp-", 22, URLSAFE),
    "tailscale": _prefixed("tskey-auth-", 40),
    "age": _prefixed("AGE-SECRET-KEY-1", 58, BASE32),
    "20 random, in prose": _of("then it printed {} and went on", lambda draw: draw.of(MIXED, 20)),
    "32 random, in prose": _of("use {} there", lambda draw: draw.of(MIXED, 32)),
    "hex key, in prose": _of("the signing key is {} since May", lambda draw: draw.of(HEX, 64)),
    "hex key, bare": _of("copy {} over", lambda draw: draw.of(HEX, 32)),
    "base64 key, in prose": _of("encrypt with {} please", lambda draw: draw.of(BASE64, 43) + "="),
    "jwt": _of("session {} ended", _jwt),
    "jwt, header": _of("curl -H 'Authorization: Bearer {}' http://x", _jwt),
    "jwt, json": _of('{{"id_token":"{}"}}', _jwt),
    "rsa key": _pem("RSA PRIVATE KEY"),
    "ec key, cut off": _pem("EC PRIVATE KEY", ended=False),
    "pgp key": _pem("PGP PRIVATE KEY BLOCK"),
    "key in json": _of(
        '"private_key": "-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----\\n"', lambda draw: draw.of(BASE64, 64)
    ),
    "putty key": _of("PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\n{}\nPrivate-MAC: 1", lambda draw: draw.of(BASE64, 64)),
    "basic header": _of("Authorization: Basic {}", _basic),
    "url": _of("https://deploy:{}@git.example/x.git", Draw.password),
    "url without a name": _of("redis://:{}@cache:6379/0", Draw.password),
    "url, at sign": _of("postgres://app:{}@db:5432/x", lambda draw: f"p@{draw.password()}"),
    "url, token as name": _of("https://{}@git.example/x.git", lambda draw: draw.of(MIXED, 40)),
    "url, password in query": _of("https://x.example/login?user=a&password={}", Draw.password),
    "url, token in query": _of("GET /v1/items?access_token={}&page=2", lambda draw: draw.of(MIXED, 16)),
    "connection string": _of("Server=db;Database=x;User Id=sa;Password={};", Draw.password),
    "jdbc": _of("jdbc:mysql://db/x?user=a&password={}", Draw.password),
    "env": _of("DB_PASSWORD={}", Draw.password),
    "env, pass": _of("SMTP_PASS={}", lambda draw: draw.phrase(2, "-") + "-7"),
    "env, spaces": _of('DATABASE_PASSWORD="{}"', lambda draw: draw.phrase(4) + " 4"),
    "env, single quotes": _of("export ADMIN_PASSWORD='{}'", Draw.password),
    "env, key": _of("STRIPE_KEY={}", lambda draw: draw.of(MIXED, 18)),
    "env, postgres": _of("PGPASSWORD={} psql -h db", Draw.password),
    "env, mysql": _of("MYSQL_PWD={} mysql app", Draw.password),
    "python": _of("password = '{}'", Draw.password),
    "python, keyword": _of("connect(user='a', password='{}', db=1)", Draw.password),
    "javascript": _of("const apiKey = `{}`;", lambda draw: draw.of(MIXED, 24)),
    "json": _of('{{"user": "a", "dbPassword": "{}"}}', Draw.password),
    "json in json": _of('"{{\\"password\\": \\"{}\\"}}"', Draw.password),
    "yaml": _of("  password: {}", Draw.password),
    "yaml, secret": _of("client_secret: {}", lambda draw: draw.of(MIXED, 24)),
    "toml": _of('api_token = "{}"', lambda draw: draw.of(HEX, 40)),
    "ini, letters": _of("passwd = {}", lambda draw: draw.phrase(2, "-")),
    "option": _of("mysqldump --password {} app", Draw.password),
    "option, equals": _of("helm install x --set-string auth --password={} y", Draw.password),
    "option, token": _of("gh-run --token {} now", lambda draw: draw.of(MIXED, 20)),
    "option -pX": _of("mysql -u root -p{} app", Draw.password),
    "option -p X": _of("docker login -u acme -p {} registry.example", Draw.password),
    "sshpass": _of("sshpass -p '{}' ssh deploy@host", Draw.password),
    "curl -u": _of("curl -u admin:{} https://x.example", Draw.password),
    "redis-cli": _of("redis-cli -h x -a {} ping", Draw.password),
    "redis-cli, port": _of("redis-cli -h x -p 6379 -a {} ping", Draw.password),
    "header": _of("X-Api-Key: {}", lambda draw: draw.of(MIXED, 20)),
    "header, curl": _of("curl -H 'X-Auth-Token: {}' http://x", lambda draw: draw.of(HEX, 24)),
    "cookie": _of("Cookie: theme=dark; sessionid={}; lang=pl", lambda draw: draw.of(LOWER + DIGITS, 32)),
    "set-cookie": _of("Set-Cookie: sid={}; Path=/; HttpOnly", lambda draw: draw.of(URLSAFE, 24)),
    "netrc": _of("machine git.example login acme password {}", Draw.password),
    "docker auth": _of('{{"auths": {{"r.example": {{"auth": "{}"}}}}}}', _basic),
    "shadow": _of("root:$6$Salt1234${}:19000:0:99999:7:::", lambda draw: draw.of(MIXED, 86)),
    "htpasswd": _of("admin:$apr1${}", lambda draw: f"{draw.of(MIXED, 8)}${draw.of(MIXED, 22)}"),
    "bcrypt": _of("hash $2b$12${}", lambda draw: draw.of(MIXED, 53)),
    "seed phrase": _of("wallet seed phrase: {}", lambda draw: draw.phrase(12)),
    "otp": _of("otpauth://totp/acme:x?secret={}&issuer=acme", lambda draw: draw.of(BASE32, 32)),
    "polish": _of("hasło: {}", Draw.password),
    "german": _of("Kennwort: {}", Draw.password),
    "passphrase": _of("passphrase: {}", lambda draw: draw.phrase(3, "-") + "-3"),
    "said": _of("the password is {} for now", Draw.password),
    "said, quoted": _of('he told me the password "{}"', Draw.password),
    "credentials": _of("credentials: svc/{}", Draw.password),
    "pwd": _of("uid=sa;pwd={}", Draw.password),
    "langsmith": _of("{}", lambda draw: f"lsv2_pt_{draw.of(HEX, 32)}_{draw.of(HEX, 10)}"),
    "planetscale": _prefixed("pscale_tkn_", 43, URLSAFE),
    "1password": _of("{}", lambda draw: "A3-" + "-".join(draw.of(UPPER + DIGITS, length) for length in (6, 11, 5, 5, 5))),
    "airtable": _of("{}", lambda draw: f"pat{draw.of(MIXED, 14)}.{draw.of(HEX, 64)}"),
    "hash of postgresql": _of("rolpassword md5{}", lambda draw: draw.of(HEX, 32)),
    "element": _of("<server><id>x</id><password>{}</password></server>", Draw.password),
    "attribute": _of('<add key="SmtpPassword" value="{}" />', Draw.password),
    "value beside its name": _of("- name: DB_PASSWORD\n  value: {}", Draw.password),
    "default of a variable": _of('variable "db_password" {{\n  default = "{}"\n}}', Draw.password),
    "argument": _of("define('DB_PASSWORD', '{}');", Draw.password),
    "argument, fallback": _of("os.environ.get('DB_PASS', '{}')", Draw.password),
    "arguments, user and password": _of("requests.get(url, auth=('acme', '{}'))", Draw.password),
    "constant": _of('#define WIFI_PASSWORD "{}"', Draw.password),
    "sql, identified by": _of("ALTER USER app IDENTIFIED BY '{}'", Draw.password),
    "sql, function": _of("SET PASSWORD FOR app = PASSWORD('{}')", Draw.password),
    "option of a java tool": _of("keytool -list -keystore a.jks -storepass {}", Draw.password),
    "option -P": _of("sqlcmd -S db -U sa -P {}", Draw.password),
    "httpie": _of("http -a acme:{} https://x.example", Draw.password),
    "smb": _of("//srv/share -U acme%{}", Draw.password),
    "sudo": _of("echo {} | sudo -S apt-get update", Draw.password),
    "chpasswd": _of("echo 'acme:{}' | sudo chpasswd", Draw.password),
    "htpasswd, given": _of("htpasswd -bc .htpasswd acme {}", Draw.password),
    "redis, configured": _of("requirepass {}", Draw.password),
    "pgpass": _of("db.example:5432:app:acme:{}", Draw.password),
    "cookie, curl": _of("curl -b 'PHPSESSID={}' http://x", lambda draw: draw.of(LOWER + DIGITS, 26)),
    "wifi": _of('network={{ ssid="x" psk="{}" }}', Draw.password),
    "said, of something": _of("the password for staging is {} now", Draw.password),
    "said, spanish": _of("la contraseña es {}", Draw.password),
    "said, french": _of("le mot de passe est {}", Draw.password),
    "said, polish": _of("hasło do bazy to {}", Draw.password),
    "creds": _of("creds: acme / {}", Draw.password),
    "typed into a page": _of("driver.find_element(By.ID, 'password').send_keys('{}')", Draw.password),
    "argument, third": _of("User.objects.create_superuser('acme', 'a@example.org', '{}')", Draw.password),
    "said, pw": _of("btw the staging pw is {}", Draw.password),
    "key, base64 of text": _of("tls.key:  {}", lambda draw: base64.b64encode(draw.of(MIXED, 60).encode()).decode()),
    "piped to a store": _of("printf '{}' | docker secret create db_password -", Draw.password),
    "pin": _of("PIN: {}", lambda draw: draw.of(DIGITS, 6)),
    "id of a scheme of one's own": _of("Authorization: Splunk {}", _uuid),
    "header, several fields": _of('Authorization: Digest username="a", realm="x", response="{}"', lambda draw: draw.of(HEX, 32)),
    "token of small letters": _of("use csk-{} there", lambda draw: draw.of(LOWER + DIGITS, 48)),
    "token without digits": _of("the api token {} is new", lambda draw: draw.of(LOWER + UPPER, 32)),
    "uuid after a word for keys": _of("snyk auth {}", _uuid),
    "launchdarkly": _of("sdk-{} of ours", _uuid),
    "url, slash and hash": _of("postgres://app:{}@db:5432/x", lambda draw: f"a/{draw.password()}#b"),
    "address without a scheme": _of('dsn := "app:{}@tcp(db:3306)/x"', Draw.password),
    "sqlplus": _of("sqlplus scott/{}@//db:1521/x", Draw.password),
    "webhook, of one's own": _of("https://x.example/hooks/{}", lambda draw: draw.of(MIXED, 24)),
    "vault of ansible": _of("$ANSIBLE_VAULT;1.1;AES256\n{}", lambda draw: draw.of(DIGITS, 60)),
    "secret of kubernetes": _of("kind: Secret\ndata:\n  tls: {}\n", _basic),
    "value in an object": _of('{{"credentials": {{"user": "a", "value": "{}"}}}}', Draw.password),
    "wifi code": _of("WIFI:T:WPA;S:acme;P:{};;", Draw.password),
    "block of yaml": _of("password: |\n  {}", Draw.password),
    "fallback in code": _of("const SECRET = process.env.SECRET || '{}';", Draw.password),
    "fallback in a shell": _of("${{DB_PASSWORD:-{}}}", Draw.password),
    "fish": _of("set -x API_TOKEN {}", Draw.password),
    "secure string": _of('$pw = ConvertTo-SecureString "{}" -AsPlainText', Draw.password),
    "sql, national string": _of("CREATE LOGIN a WITH PASSWORD = N'{}'", Draw.password),
    "user and password of a command": _of("mosquitto_pub -u acme -P {} -t x", Draw.password),
    "prompt": _of('send "{}\\r" after expect "Password:"', Draw.password),
    "table": _of("| password | {} |", Draw.password),
    "default account": _of("admin:{} on staging", Draw.password),
    "said before": _of("log in with {} as the password", Draw.password),
    "said, with words": _of("ssh password for root: {}", lambda draw: draw.phrase(1)),
    "passphrase of words": _of("the passphrase is {}", lambda draw: f"{draw.phrase(2)} {draw.number(10, 99)} {draw.phrase(1)}"),
    "escaped several times": _of('"{{\\\\\\"token\\\\\\": \\\\\\"{}\\\\\\"}}"', Draw.password),
    "stream key": _of("stream key: {}", lambda draw: "-".join(draw.of(LOWER + DIGITS, 4) for _ in range(4)) + "-7"),
    "letters, element": _of("<Password>{}</Password>", lambda draw: draw.phrase(1)),
    "letters, sql": _of("CREATE USER a IDENTIFIED BY '{}'", lambda draw: draw.phrase(1)),
    "letters, quoted option": _of('--password "{}"', lambda draw: draw.phrase(3)),
    "letters, quoted in prose": _of("use the password '{}' there", lambda draw: draw.phrase(2, "-")),
    "letters, netrc": _of("machine x\nlogin a\npassword {}", lambda draw: draw.phrase(1)),
    "letters, upper name": _of("export SECRET_KEY={}", lambda draw: draw.phrase(3, "-")),
    "japanese": _of("パスワード: {}", Draw.password),
    "recovery codes": _of("recovery codes: {} a1b2c-3d4e5", lambda draw: f"{draw.of(HEX, 4)}7-{draw.of(HEX, 5)}"),
    "verification code": _of("the verification code is {}", lambda draw: draw.of(DIGITS, 6)),
    "pin of something": _of("PIN do karty: {}", lambda draw: draw.of(DIGITS, 4)),
    "key of a licence": _of("it runs with {}", lambda draw: "-".join(f"{draw.of(UPPER, 4)}{draw.of(DIGITS, 1)}" for _ in range(5))),
    "made up, alone": _of("I typed {} and it let me in", Draw.password),
    "arguments in a list": _of('["mysql", "-u", "root", "-p{}"]', Draw.password),
    "value of a store": _of("aws ssm put-parameter --name /db/password --value {} --type SecureString", Draw.password),
    "prompt, braces": _of('expect "password:" {{ send "{}\\r" }}', Draw.password),
    "said, with a dash": _of("password - {}", lambda draw: f"{draw.phrase(1)}{draw.number(10, 999)}x"),
    "link of an invitation": _of("https://x.example/invite/{}", _uuid),
    "form, short names": _of("/login?u=acme&p={}", Draw.password),
    "german code": _of("Zugangscode: {}", lambda draw: draw.of(DIGITS, 6)),
    "hash in a directory": _of("acme:{{SHA}}{}", lambda draw: draw.of(MIXED, 27) + "="),
    "oracle's driver": _of("jdbc:oracle:thin:scott/{}@db:1521/x", lambda draw: draw.phrase(2, "")),
    "braces of a driver": _of("DRIVER={{Some}};UID=sa;PWD={{{}}}", lambda draw: draw.phrase(2, ";")),
    "user and password of a broker": _of("mosquitto_pub -h b -u dev -P {} -t x", lambda draw: draw.phrase(2, "")),
    "token as a user of a URL": _of("nats://{}@broker:4222", lambda draw: draw.phrase(2, "")),
    "password of a role": _of("CREATE ROLE app WITH ENCRYPTED PASSWORD '{}';", lambda draw: draw.phrase(3)),
    "password of windows": _of("net user someone {} /add", lambda draw: draw.phrase(2, "")),
    "secure string, letters": _of("ConvertTo-SecureString '{}' -AsPlainText", lambda draw: draw.phrase(2, "")),
    "variable of a shell": _of('setx DB_PASSWORD "{}"', lambda draw: draw.phrase(2, "")),
    "variable of a build": _of("ENV APP_SECRET {}", lambda draw: draw.phrase(2, "")),
    "macro": _of('#define WIFI_PASS "{}"', lambda draw: draw.phrase(2, "")),
    "path of a store": _of("etcdctl put /app/db_password {}", lambda draw: draw.phrase(2, "")),
    "here string": _of("cryptsetup luksOpen disk crypt <<< {}", lambda draw: draw.phrase(2, "")),
    "option of one dash": _of("keytool -list -storepass {}", lambda draw: draw.phrase(2, "")),
    "value of words": _of("wpa_passphrase={}", lambda draw: draw.phrase(3)),
    "default of a variable, letters": _of('variable "db_password" {{\n  default = "{}"\n}}', lambda draw: draw.phrase(2, "")),
    "said, letters alone": _of("the password is {}", lambda draw: draw.choice(["tangerine", "gooseberry", "lighthouse"])),
    "said in German, letters alone": _of("mein Passwort ist {}", lambda draw: draw.choice(["regenschirm", "blumentopf"])),
    "said in French": _of("le mot de passe est {}", lambda draw: f"citrouille{draw.number(2, 9)}"),
    "said in Spanish": _of("la contraseña es {}", lambda draw: f"calabaza{draw.number(2, 9)}"),
    "said, a quoted phrase": _of('the password is "{}"', lambda draw: f"{draw.phrase(2)} {draw.number(2, 9)}"),
    "quoted, as the password": _of('use "{}" as the admin password', lambda draw: draw.phrase(2, "-")),
    "where it holds, in brackets": _of("password (staging): {}", lambda draw: draw.phrase(2, "")),
    "bold name": _of("**Password:** {}", lambda draw: draw.phrase(2, "")),
    "type beside the name": _of('let password: String = "{}"', lambda draw: draw.phrase(2, "")),
    "method": _of('client.password("{}")', lambda draw: draw.phrase(2, "")),
    "field of a form": _of('<input type="password" value="{}">', lambda draw: draw.phrase(2, "")),
    "encoded assignment": _of("x%26password%3D{}", lambda draw: draw.phrase(2, "")),
    "column of a table": _of("user,password\nsomeone,{}", lambda draw: draw.phrase(2, "")),
    "column of a page": _of("| user | password |\n|---|---|\n| someone | {} |", lambda draw: draw.phrase(2, "")),
    "row that is inserted": _of("INSERT INTO users (name, password) VALUES ('someone', '{}')", lambda draw: draw.phrase(2, "")),
    "numbered recovery codes": _of("backup codes\n1. 4412-9087\n2. {}", lambda draw: f"{draw.of(DIGITS, 4)}-{draw.of(DIGITS, 4)}"),
    "word for a key before an id": _of("we use {} there", lambda draw: f"api-{_uuid(draw)}"),
    "16 random": _of(
        "{}", lambda draw: "".join(draw.choice(DIGITS) + draw.choice(UPPER) + draw.choice("zqxjkv") + draw.choice(UPPER) for _ in range(4))
    ),
    "seed of base32": _of("2FA seed {} of root", lambda draw: draw.of(BASE32, 32)),
    "aligned assignment": _of('password                 = "{}"', lambda draw: draw.phrase(2, "-").title()),
    "said after": _of("{} is the key of the bucket", lambda draw: draw.of(UPPER + DIGITS, 16)),
    "prompt, letters": _of('expect "password:"; send "{}\\n"', lambda draw: draw.phrase(2, "")),
    "bundled option": _of("curl -ku admin:{} https://x.example", lambda draw: draw.phrase(2, "-")),
    "option of openssl": _of("openssl pkcs12 -export -passout pass:{}", lambda draw: draw.phrase(2, "")),
    "code before its name": _of("{} is your verification code", lambda draw: draw.of(DIGITS, 6)),
    "sql, of a user": _of("SET PASSWORD FOR 'a'@'b' = '{}'", lambda draw: draw.phrase(2, "")),
    "one digit": _of("use {} as the password", lambda draw: f"{draw.phrase(1)}{draw.number(2, 9)}x"),
    "passcode": _of("passcode: {}", lambda draw: draw.phrase(2, "-")),
    "hex after another argument": _of("search('APPID', '{}')", lambda draw: draw.of(HEX, 32)),
}

_PERSONAL: Final[dict[str, Callable[[Draw], tuple[str, str]]]] = {
    "e-mail": _of("mail {}@example.org about it", lambda draw: f"{draw.given().lower()}.{draw.login()}"),
    "e-mail, plus": _of("<{}+ci@mail.example.co.uk>", Draw.login),
    "e-mail, own letters": _of("pisz do {}@przykład.pl", Draw.login),
    "account on a host": _of("{}@buildhost failed", Draw.login),
    "phone, +": _of("ring {}", lambda draw: f"+48 {draw.of(DIGITS, 3)} {draw.of(DIGITS, 3)} {draw.of(DIGITS, 3)}"),
    "phone, + compact": _of("sms to +4915{}", lambda draw: draw.of(DIGITS, 9)),
    "phone, + brackets": _of("+44 (0)20 7946 {}", lambda draw: draw.of(DIGITS, 4)),
    "phone, US": _of("(202) 555-{}", lambda draw: draw.of(DIGITS, 4)),
    "phone, US dashes": _of("1-202-555-{}", lambda draw: draw.of(DIGITS, 4)),
    "phone, national": _of("tel. {}", lambda draw: f"{draw.number(500, 799)} {draw.of(DIGITS, 3)} {draw.of(DIGITS, 3)}"),
    "phone, 00": _of("0049 30 1234 {}", lambda draw: draw.of(DIGITS, 4)),
    "phone, UK": _of("020 7946 {}", lambda draw: draw.of(DIGITS, 4)),
    "iban": _of("pay {}", Draw.iban),
    "iban, groups": _of("pay {} today", lambda draw: " ".join(iban[at : at + 4] for iban in [draw.iban()] for at in range(0, 22, 4))),
    "card": _of("card {}", Draw.card),
    "card, groups": _of("card {} exp 01/30", lambda draw: " ".join(card[at : at + 4] for card in [draw.card()] for at in range(0, 16, 4))),
    "pesel": _of("her number {} was in it", Draw.pesel),
    "ssn": _of("SSN {}", lambda draw: f"{draw.number(100, 665)}-{draw.number(10, 99)}-{draw.number(1000, 9999)}"),
    "passport": _of("passport {} of hers", lambda draw: f"{draw.of(UPPER, 2)}{draw.of(DIGITS, 7)}"),
    "ipv4": _of("from {} again", lambda draw: f"203.0.{draw.number(1, 255)}.{draw.number(10, 255)}"),
    "ipv6": _of("peer {}", lambda draw: f"2001:db8:{draw.of(HEX, 4)}::{draw.of(HEX, 4)}:{draw.of(HEX, 4)}"),
    "cvv": _of("cvv: {}", lambda draw: draw.of(DIGITS, 3)),
    "card, of few digits": _of("card {}", lambda _: " ".join(["4111", *["1111"] * 3])),
    "account, polish": _of("nr konta {} w banku", _polish_account),
    "personalausweis": _of("Personalausweis: {}", lambda draw: f"T{draw.of(DIGITS, 9)}"),
    "nino": _of("NI number {}", lambda draw: f"QQ {draw.number(10, 99)} {draw.number(10, 99)} {draw.number(10, 99)} C"),
    "passport in json": _of('"passport_number": "{}"', lambda draw: f"{draw.of(UPPER, 2)}{draw.of(DIGITS, 7)}"),
    "birth": _of('"date_of_birth": "{}"', lambda draw: f"19{draw.number(50, 99)}-0{draw.number(1, 9)}-{draw.number(10, 28)}"),
    "birth, german": _of("geboren am {}", lambda draw: f"{draw.number(1, 28)}. Mai 19{draw.number(50, 99)}"),
    "e-mail in a url": _of("/login?user={}%40example.org", Draw.login),
    "e-mail, spelt": _of("write to {} [at] example [dot] org", Draw.login),
    "account on an address": _of("scp a.tgz {}@10.0.0.5:/tmp", Draw.login),
    "phone, french": _of("06 12 {} 78", lambda draw: f"{draw.number(10, 99)} {draw.number(10, 99)}"),
    "phone, dots": _of("415.555.{}", lambda draw: draw.of(DIGITS, 4)),
    "owner of a file": _of("-rw-r--r-- 1 {} staff 812 Jan  2 10:11 a.py", Draw.login),
    "id": _of("uid=1000({}) gid=1000(staff)", Draw.login),
    "user in the environment": _of("USER={}", Draw.login),
    "sshd": _of("Accepted publickey for {} from somewhere port 22", Draw.login),
    "passwd": _of("acme:x:1000:1000:{},,,:/bin/bash", lambda draw: f"{draw.given()} {draw.family()}"),
    "blame": _of("^a1b2c3d4 ({} 2026-01-02 10:11:12 +0100  4) x = 1", lambda draw: f"{draw.given()} {draw.family()}"),
    "git's configuration": _of('git config user.name "{}"', lambda draw: f"{draw.given()} {draw.family()}"),
    "last name in json": _of('{{"lastName": "{}"}}', Draw.family),
    "name with a title": _of("ask Frau {} first", Draw.family),
    "spoken to": _of("Hi {}, have a look", lambda draw: draw.choice(["Marek", "Tadeusz", "Zofia"])),
    "owner": _of("owner: {}", lambda draw: f"{draw.given()} {draw.family()}"),
    "iban, small": _of("iban: {}", lambda draw: draw.iban().lower()),
    "mac, dots": _of("nic 001a.{}.4d5e", lambda draw: draw.of(HEX, 4)),
    "dear": _of("Dear {},", lambda draw: f"{draw.given()} {draw.family()}"),
    "known first name": _of("we met Katarzyna {} there", Draw.family),
    "mention": _of("thanks @{} for it", Draw.login),
    "street in json": _of('{{"street": "{} 7", "zip": "00-001"}}', lambda draw: draw.choice(["Zmyślona", "Wymyślona", "Nieznana"])),
    "street, dutch": _of("{} 70, 1012 LM Amsterdam", lambda draw: draw.choice(["Zomaar", "Nergens", "Bedacht"])),
    "box": _of("P.O. Box {}", lambda draw: draw.of(DIGITS, 4)),
    "mac": _of("nic {} up", lambda draw: ":".join(draw.of(HEX, 2) for _ in range(6))),
    "home, linux": _of("open /home/{}/work/a.py", Draw.login),
    "home, mac": _of('File "/Users/{}/work/a.py", line 3', Draw.login),
    "home, mac, space": _of("see /Users/{}/work", lambda draw: f"{draw.given()} {draw.family()}"),
    "home, windows": _of("C:\\Users\\{}\\work\\a.py", Draw.login),
    "home, windows, json": _of("C:\\\\Users\\\\{}\\\\work", Draw.login),
    "home, wsl": _of("/mnt/c/Users/{}/work", Draw.login),
    "home, url": _of("file:///home/{}/a.html", Draw.login),
    "home, project directory": _of("~/.claude/projects/-home-{}-shop/x.jsonl", Draw.login),
    "home, tilde": _of("cat ~{}/notes", Draw.login),
    "author": _of("Author: {} <x@example.org>", lambda draw: f"{draw.given()} {draw.family()}"),
    "signed off": _of("Signed-off-by: {} <x@example.org>", lambda draw: f"{draw.given()} {draw.family()}"),
    "name in json": _of('{{"full_name": "{}"}}', lambda draw: f"{draw.given()} {draw.family()}"),
    "name in prose": _of("{} asked for this", lambda draw: f"{draw.given()} {draw.family()}"),
    "street, polish": _of("ul. {} 7/3, 00-001 Warszawa", lambda draw: draw.choice(["Zmyślona", "Wymyślona", "Nieznana"])),
    "street, english": _of("lives at 221 {} Street, London", lambda draw: draw.choice(["Baker", "Invented", "Elm"])),
    "street, german": _of("{} 12, 10115 Berlin", lambda draw: draw.choice(["Erfundenstraße", "Musterweg", "Beispielplatz"])),
    "street after its name": _of("adres: {} 5/7, 60-001 Poznań", lambda draw: draw.choice(["Zmyślona", "Wymyślona", "Nieznana"])),
    "name after a verb": _of("Zgłosiła Agnieszka {} z działu", Draw.family),
    "name, asked": _of("please ask {} about it", lambda draw: f"Oona {draw.family()}"),
    "name, copyright": _of("Copyright (c) 2026 {}", lambda draw: f"Oona {draw.family()}"),
    "name before an address": _of('["{} <x@example.org>"]', lambda draw: f"Oona {draw.family()}"),
    "name in a row": _of("3,Halina,{},x", Draw.family),
    "name in capitals": _of("JAN {} 44", lambda draw: draw.family().upper()),
    "name, two first": _of("Jan Maria {} was there", Draw.family),
    "name, last first": _of('"{}, Anna"', Draw.family),
    "name, initial": _of("J. {} signed off", Draw.family),
    "name, polish case": _of("na prośbę Jana {}", lambda draw: draw.choice(["Zmyślonego", "Wymyślonego", "Nieznanego"])),
    "last name, polish": _of("nazwisko: {}", Draw.family),
    "e-mail in words": _of("{} at example dot org", Draw.login),
    "e-mail, entity": _of("{}&#64;example.org", Draw.login),
    "phone, german mobile": _of("0151 {}", lambda draw: draw.of(DIGITS, 8)),
    "phone, link": _of("https://wa.me/{}", lambda draw: f"48601{draw.of(DIGITS, 6)}"),
    "phone, area in brackets": _of("(22) 555 {} 23", lambda draw: str(draw.number(10, 99))),
    "phone, threes": _of("both {} and more", lambda draw: f"601 {draw.of(DIGITS, 3)} {draw.of(DIGITS, 3)}"),
    "licence to drive": _of("driver's license {}", lambda draw: f"D{draw.of(DIGITS, 7)}"),
    "vat number": _of("VAT ID DE{}", lambda draw: draw.of(DIGITS, 9)),
    "ein": _of("EIN 12-{}", lambda draw: draw.of(DIGITS, 7)),
    "codice fiscale": _of("the code {} of hers", lambda draw: f"RSSMRA85T10A{draw.of(DIGITS, 3)}S"),
    "code of a bank": _of("SWIFT {}", lambda draw: f"{draw.of(UPPER, 4)}DEFF500"),
    "place": _of("location: {}, 21.01223", lambda draw: f"52.{draw.of(DIGITS, 5)}"),
    "place, degrees": _of("{}°13'47\"N", lambda draw: str(draw.number(10, 89))),
    "plate": _of("tablica WA {}", lambda draw: draw.of(DIGITS, 5)),
    "postcode": _of("zip code {}", lambda draw: draw.of(DIGITS, 5)),
    "address in a machine's name": _of("ec2-{}.compute.example", lambda draw: f"203-0-113-{draw.number(10, 255)}"),
    "user, field": _of('"username": "{}"', Draw.login),
    "user, todo": _of("TODO({}): later", Draw.login),
    "user, su": _of("su - {} -c ls", Draw.login),
    "user, page": _of("https://www.linkedin.com/in/{}/", Draw.login),
    "user, machine": _of("host {}s-macbook-pro.local", Draw.login),
    "user, domain": _of("ACME\\{} logged in", Draw.login),
    "user, process": _of("{}  4242  0.0  0.1 python a.py", Draw.login),
    "user, pull request": _of("Merge pull request #12 from {}/fix-x", Draw.login),
    "user, spoken to": _of("@{} can you look", Draw.login),
    "user, messenger": _of("skype: live:{}.x", Draw.login),
    "home, share": _of("\\\\server\\users\\{}\\docs", Draw.login),
    "home, remote": _of("ssh://box/home/{}/x", Draw.login),
    "home, scratch": _of("/scratch/users/{}/x", Draw.login),
    "home, test": _of("rm -r /var/tmp/pytest-of-{}/pytest-0", Draw.login),
    "home, project directory of windows": _of("C--Users-{}-repo", Draw.login),
    "e-mail, quoted": _of('<"{} x"@example.org>', Draw.login),
    "e-mail, braces": _of("{}{{at}}example.org", Draw.login),
    "phone, two groups": _of("06-{}", lambda draw: f"2{draw.of(DIGITS, 7)}"),
    "phone, spanish": _of("612 34 {} 78 and more", lambda draw: str(draw.number(10, 99))),
    "phone, russian": _of("8 (912) 345-{}-89", lambda draw: str(draw.number(10, 99))),
    "number of a tax office": _of("Steueridentifikationsnummer: {}", lambda draw: draw.of(DIGITS, 11)),
    "number of an insurance": _of("Versichertennummer A{}", lambda draw: draw.of(DIGITS, 9)),
    "number of a Dane": _of("CPR {}-1234", lambda draw: f"0101{draw.number(10, 99)}"),
    "user, ssh": _of("ssh -l {} box", Draw.login),
    "user, whoami": _of("$ whoami\n{}", Draw.login),
    "user, mentioned in a messenger": _of("telegram: @{}", Draw.login),
    "place, decimal degrees": _of("{}.2297° N", lambda draw: str(draw.number(10, 89))),
    "street with a postcode of five": _of("Am {} 5, 10115 Berlin", lambda draw: draw.choice(["Markt", "Hang", "Bach"])),
    "postcode, british": _of("postcode SW{}A 1AA", lambda draw: str(draw.number(1, 9))),
    "name, hyphen and apostrophe": _of("Jean-Luc O'{} approved it", lambda draw: draw.choice(["Fiction", "Invented", "Nobody"])),
    "name, role in brackets": _of("Oona {} (ops) wrote it", Draw.family),
    "name, possessive": _of("on Oona {}'s laptop", Draw.family),
    "name, has": _of("Oona {} has left the company", Draw.family),
    "name, by": _of("a parser by Oona {}, 2026", Draw.family),
    "name, variable": _of("GIT_AUTHOR_NAME='Oona {}'", Draw.family),
    "name, thanks": _of("Thanks to Oona {} for it", Draw.family),
    "name, reporter": _of("Reporter: Oona {}", Draw.family),
    "name, porcelain": _of("author Oona {}\nauthor-time 1795000000", Draw.family),
    "name, polish verb before": _of("pytała Oona {}", Draw.family),
    "user, sudo": _of("sudo -u {} ls", Draw.login),
    "user, field without quotes": _of("username: {}", Draw.login),
    "user, logged in": _of("user {} logged in", Draw.login),
    "user, owner of code": _of("/docs @{}", Draw.login),
    "user, mail": _of("/var/mail/{}", Draw.login),
    "user, subversion": _of("r12 | {} | 2026-11-29 10:00:00", Draw.login),
    "street with a swedish postcode": _of("Storgatan {}, 111 22 Stockholm", lambda draw: str(draw.number(1, 99))),
}

_BENIGN: Final[dict[str, Callable[[Draw], str]]] = {
    "commit": lambda draw: f"commit {draw.of(HEX, 40)}",
    "short commit": lambda draw: f"merged {draw.of(HEX, 8)} into main",
    "uuid": lambda draw: f"session {draw.of(HEX, 8)}-{draw.of(HEX, 4)}-4{draw.of(HEX, 3)}-a{draw.of(HEX, 3)}-{draw.of(HEX, 12)} began",
    "tool call": lambda draw: f"toolu_01{draw.of(MIXED, 22)} gave no result",
    "call": lambda draw: f"call_{draw.of(MIXED, 24)} took 3 s",
    "message": lambda draw: f'{{"id": "msg_01{draw.of(MIXED, 22)}"}}',
    "image": lambda draw: f"image sha256:{draw.of(HEX, 64)}",
    "integrity": lambda draw: f'"integrity": "sha512-{draw.of(BASE64, 86)}=="',
    "md5": lambda draw: f"md5 {draw.of(HEX, 32)}  dist.tar.gz",
    "path": lambda draw: f"src/components/{draw.choice(_WORDS)}/VeryLongComponentName2.stories.tsx",
    "test": lambda draw: f"--- PASS: TestE2E_Scenario{draw.number(1, 9)}_PartialCommitStashNextPrompt (0.02s)",
    "tokens": lambda draw: f'"input_tokens": {draw.number(100, 99999)}, "output_tokens": {draw.number(1, 999)}',
    "type": lambda _: "password: string; token?: string | null",
    "argument": lambda _: "def login(user: str, password: str, token: Token | None = None) -> None:",
    "environment": lambda _: "password = os.environ['DB_PASSWORD']",
    "variable": lambda _: "docker login -u $USER -p $REGISTRY_PASSWORD registry.example",
    "call of a function": lambda _: "const token = await getAccessToken(session)",
    "prose": lambda _: "The token is read from the header and the password is never logged.",
    "prose, bearer": lambda _: "Use bearer authentication, and basic understanding of keys helps.",
    "placeholder": lambda _: "API_KEY=<your key here> and password=changeme",
    "date": lambda draw: f"2026-{draw.number(1, 12):02}-{draw.number(10, 28)} {draw.number(10, 23)}:15:02,123 INFO started",
    "timestamp": lambda draw: f'"at_ns": 17950000{draw.of(DIGITS, 11)}',
    "port": lambda draw: f"http://127.0.0.1:{draw.number(3000, 9999)}/health answers",
    "version": lambda draw: f"numpy=={draw.number(1, 2)}.26.4, actions/checkout@v4, react@18.{draw.number(0, 9)}.0",
    "remote": lambda _: "git@github.com:acme/shop.git (fetch)",
    "route": lambda draw: f"GET /api/users/{draw.number(1, 999)}/orders 200",
    "runner": lambda _: "/home/runner/work/shop/shop/tests/test_a.py:14: AssertionError",
    "scope": lambda _: 'import {{ test }} from "@playwright/test"; std::vector<int> a; a::b::c()',
    "numbers": lambda draw: f"p50 {draw.number(1, 99)} ms, 1 2 3 4 5 6 7 8, {draw.number(10**5, 10**6)} rows, 3.14159265",
    "agent": lambda _: "Code Reviewer asked for changes; Claude Code wrote the tests.",
    "model": lambda _: "claude-opus-4-20250514 and gpt-5.1-codex-max-high answered",
    "diff": lambda draw: f"@@ -{draw.number(1, 99)},7 +{draw.number(1, 99)},9 @@ def mask(text: str) -> str:",
    "css": lambda _: "color: #ff00aa; grid-template-columns: repeat(auto-fill, minmax(120px, 1fr));",
    "listing": lambda draw: f"drwxr-xr-x 2 root root {draw.number(1000, 9999)} Mar  3 10:11 src",
    "network": lambda draw: f"10.{draw.number(1, 255)}.16.0/20 is the range",
    "pins": lambda draw: f"GPIO pin {draw.number(10, 40)}, pin the version to 1.{draw.number(1, 9)}.0",
    "call with a name": lambda _: 'monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08"); headers.set("Content-Type", "text/plain")',
    "manifest": lambda _: "- name: LOG_LEVEL\n  value: debug2026",
    "titles": lambda _: "name: Upload Release Asset; Dear Team, New York is Red Hat's; Anna's tests pass",
    "settings of passwords": lambda _: "password_min_length: 12, password hashing uses sha256, PASSWORD_RESET_URL=/reset",
    "pass": lambda draw: f"all tests pass in build2026{draw.number(1000, 9999)}; mysql -h db -P 3307 -e 'select 1'",
    "decorator": lambda _: "@pytest.fixture(scope='session') by @dataclass(frozen=True)",
    "ids of calls": lambda draw: f"ctc_{draw.of(HEX, 50)} rs_{draw.of(HEX, 50)} fc_{draw.of(HEX, 50)}",
    "id of github": lambda draw: f'"id":"IC_kwDO{draw.of(MIXED, 14)}"',
    "ulid": lambda draw: f"run 01J{draw.of(UPPER + DIGITS, 23)} ended",
    "camel": lambda _: "TestGetGitDirInPath_NotARepo GetGitAuthorFromRepo NewPostHogProvider TestExplainCmd_HasFullFlag",
    "rollout": lambda draw: f"rollout-2026-06-26T13-35-22-{_uuid(draw)}.jsonl",
    "range of commits": lambda draw: f"{draw.of(HEX, 8)}..{draw.of(HEX, 8)} main -> main",
    "comment of a javascript": lambda _: " * @param password the user's own\n/** @deprecated Use TraceSource. */",
    "sorts of names": lambda _: "Visual Studio found it; Pull Request will fix that; by Open Source rules; Error Handler joined",
    "words that count": lambda draw: f"Python312 on Ubuntu2204, Figure{draw.number(10, 99)}, Sonnet45; Session42: Handler12(x) build2026",
    "hooks in code": lambda _: "src/hooks/useSomethingVeryLongNameOfHook2.ts https://x.example/hooks/use-some-long-name-of-a-hook",
    "users of a module": lambda _: "src\\users\\index.ts and C:\\repo\\src\\users\\index.ts",
    "codes": lambda draw: f"exit code {draw.number(1000, 9999)}, status code 404, error code 50035",
    "location": lambda _: "location: src/a.py:12.345, position 1.5, latency 12.5 ms, at example.com dot files",
    "settings in words": lambda _: "password for the user: required; token for x: y; authorization: see the docs",
    "image by its digest": lambda draw: f"registry/app:20alpine@sha256:{draw.of(HEX, 64)}",
    "arrows": lambda _: "fn token() -> String; password -> hashed; a | b | secret | text",
    "route of users": lambda _: "GET /api/users/jobs and src/home/page.tsx in https://x.example/home/page",
    "kebab": lambda _: "see docs/decisions/how-the-long-kebab-names-are-made-and-kept.md",
    "sums of modules": lambda draw: f"example.org/x/y v1.2.3 h1:{draw.of(BASE64, 43)}=",
    "products and versions": lambda _: "Angular17 beside Svelte5; C:\\Windows\\System32; Catch22! and Log4Shell",
    "said of a password": lambda draw: (
        f"the password is {draw.choice(['required', 'incorrect', 'empty', 'hashed', 'too short', 'stored'])}."
    ),
    "said of a password, German": lambda draw: f"das Passwort ist {draw.choice(['falsch', 'leer', 'abgelaufen', 'ungültig'])}",
    "name for a password": lambda _: "password: DB_PASSWORD",
    "methods": lambda _: 'getToken("session1"); expect(password("")); authorization = self._build_authorization_header()',
    "columns": lambda _: "kind, token, place\nname, identifier, 12",
    "tests that pass": lambda _: "**If tests pass:** Continue; use `x` for the parser; set the token for later",
    "users of a URL": lambda _: "ssh://git@example.org/x postgres://app@db/x",
    "groups of numbers": lambda draw: f"12 345 67 890 rows; {draw.number(10, 99)} 123 456 ms; 0.12345678",
    "rules for passwords": lambda _: "password_policy: strict; password_type: argon; password: !vault",
    "question for a password": lambda _: "password = getpass.getpass('Password: ')",
    "placeholder in words": lambda _: "export OPENAI_API_KEY=your-key-here",
    "queues and hubs": lambda _: "Merged by Merge Queue, published by Docker Hub, Jest Mock said undefined",
    "users in code": lambda _: "username: string; user = User(name); login = handle; username: none",
}


def planted(seed: int = 15, each: int = 3) -> list[Planted]:
    """Draw texts, `each` of a kind."""
    draw = Draw(seed)
    return [
        Planted(group, kind, *make(draw))
        for group, kinds in (("credential", _CREDENTIALS), ("personal", _PERSONAL))
        for kind, make in kinds.items()
        for _ in range(each)
    ]


def benign(seed: int = 15, each: int = 3) -> list[tuple[str, str]]:
    """Draw lines that must stay as they are: (kind, text)."""
    draw = Draw(seed)
    return [(kind, make(draw)) for kind, make in _BENIGN.items() for _ in range(each)]
