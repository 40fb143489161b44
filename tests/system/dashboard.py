"""The dashboard by HTTP, as a browser asks it."""
import json
import urllib.error
import urllib.parse
import urllib.request


def system(instance):
    """What runs, and how fast; {} while the viewer is away."""
    status, body = get(instance, "/coordinator/systemStats")
    return json.loads(body) if status == 200 else {}


def get(instance, path, headers=None):
    """Status and body of a request that changes nothing."""
    return ask(urllib.request.Request(instance.page + path, headers=headers or {}))


def post(instance, path, fields, headers=None):
    body = urllib.parse.urlencode(fields).encode()
    return ask(urllib.request.Request(instance.page + path, data=body, headers=headers or {}, method="POST"))


def ask(request):
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def stored(instance):
    """Results so far, as the report counts them."""
    status, body = get(instance, "/report/aggregate?intervals=1&begin_us=0")
    return json.loads(body)["intervals"][0]["count"] if status == 200 else 0


def link(instance):
    return instance.cli("link").stdout.strip()


def cookie(instance):
    """The session that a fresh link opens, as a Cookie header."""
    with urllib.request.urlopen(link(instance), timeout=30) as answer:
        return answer.headers["Set-Cookie"].split(";")[0]
