#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`periscope token` and the region together: what is minted is accepted, what is taken away is gone, what is
revoked counts no more. Standard library only."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time

from region_client import PROGRAM, Region, Tally

tally = Tally()
check = tally.check
folder = tempfile.mkdtemp(prefix="periscope-token-")
QUERY = "/api/v1/query?query=count(up)%20by%20(app)"
WRITE = "/api/v1/import/prometheus"


def run(*args, stdin=""):
    r = subprocess.run([os.path.join(os.path.dirname(PROGRAM), "periscope"), "token", *args], input=stdin,
                       capture_output=True, text=True, timeout=60)
    return r.returncode, r.stdout, r.stderr


def put(name, text, mode=0o640):
    path = os.path.join(folder, name)
    with open(path + ".new", "w") as f:
        f.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)
    return path


def apps_seen(r, token):
    """The apps whose series a query with the token finds, or the status when it finds none."""
    status, body, _ = r.request("GET", QUERY, headers={"Authorization": "FlyV1 " + token})
    if status != 200:
        return status
    return sorted(s["metric"]["app"] for s in json.loads(body)["data"]["result"])


def until(what, test):
    end = time.monotonic() + 30
    while not test() and time.monotonic() < end:
        time.sleep(0.05)
    check(what, test())


def opaque(r):
    code, out, _ = run("mint", "--name", "team", "--organisation", "acme", "--scope", "read", "--scope", "write",
                       "--app", "web")
    token, entry = out.split("\n\n", 1)
    check("an opaque token is minted", (code, token.startswith("psc_"), len(token)), (0, True, 47))
    check("its secret is not in the entry", token not in entry and token[4:] not in entry)
    check("two are not equal", run("mint", "--name", "x", "--organisation", "a", "--scope", "read")[1][:47] != token)
    put("access/team.yml", entry)
    until("it is accepted", lambda: apps_seen(r, token) == ["web"])
    status, _, _ = r.request("POST", WRITE, b'up{app="web",n="2"} 1\n', {"Authorization": "Bearer " + token})
    check("and writes", status, 204)
    check("revoking it says how", "take it out of tokens" in run("revoke", stdin=token)[2])


def flyv1(r, key):
    code, out, _ = run("mint", "--kid", "2eed", "--key-file", key, "--organisation-id", "4711", "--mask", "*")
    token = out.strip()
    check("a FlyV1 token is minted", (code, token[:4]), (0, "fm2_"))
    check("it reads", apps_seen(r, token), ["web", "worker"])
    _, out, _ = run("attenuate", "--app-id", "18", "--app-id", "18", stdin="FlyV1 " + token + "\n")
    app = out.strip()
    check("less of it reads less", apps_seen(r, app), ["worker"])
    _, out, _ = run("attenuate", "--action", "w", stdin=token)
    check("what may only write does not read", apps_seen(r, out.strip()), 403)
    _, out, _ = run("attenuate", "--expires", "1s", stdin=token)
    until("one second is soon over", lambda: apps_seen(r, out.strip()) == 401)
    check("more is not to be had", apps_seen(r, run("attenuate", "--organisation-id", "4712", stdin=token)[1].strip()), 403)
    inspected(app, key)
    revoked(r, token, app)


def inspected(app, key):
    code, out, _ = run("inspect", "--key-file", key, stdin=app)
    said = json.loads(out)
    check("inspect verifies", (code, said["signed"], said["kid"]), (0, True, "2eed"))
    check("and tells the caveats", [c["type"] for c in said["caveats"]], ["Organization", "Apps"])
    check("it tells no more than what is in it", set(said), {"uuid", "kid", "location", "proof", "caveats", "signed"})
    other = put("other.key", base64.b64encode(os.urandom(32)).decode(), 0o600)
    code, out, _ = run("inspect", "--key-file", other, stdin=app)
    check("another key did not sign it", (code, json.loads(out)["signed"]), (1, False))


def revoked(r, token, app):
    path = os.path.join(folder, "access", "revoked.yml")
    check("what was made of it is revoked with it", run("revoke", stdin=app)[1] == run("revoke", stdin=token)[1])
    check("a first one", run("revoke", "--file", path, stdin=app)[0], 0)
    until("is refused", lambda: apps_seen(r, token) == 401 and apps_seen(r, app) == 401)
    check("a second one is added", run("revoke", "--file", path, stdin=app)[0], 0)
    with open(path) as f:
        check("to the list", f.read().count("\n- "), 2)
    code, _, err = run("revoke", "--file", os.path.join(folder, "access", "main.yml"), stdin=app)
    check("nothing else is written to", (code, "file of its own" in err), (2, True))


def bad():
    for what, args, stdin, word in (
            ("no token", ("inspect",), "", "expected a token"),
            ("no macaroon", ("inspect",), "fm2_AAAA", ""),
            ("no base64", ("inspect",), "fm2_!", "no FlyV1 token"),
            ("opaque", ("attenuate", "--action", "r"), "psc_x", "no FlyV1 token"),
            ("nothing to take away", ("attenuate",), "fm2_AAAA", "nothing is restricted"),
            ("a mask of other letters", ("mint", "--kid", "00", "--key-file", "/dev/null", "--mask", "x"), "", ""),
            ("no key", ("mint", "--kid", "00", "--key-file", "/dev/null"), "", "holds no base64"),
            ("no scope", ("mint", "--name", "a", "--organisation", "b"), "", "expected --name"),
            ("another scope", ("mint", "--name", "a", "--organisation", "b", "--scope", "all"), "", "--scope: 'all'"),
            ("YAML in a name", ("mint", "--name", "a: b", "--organisation", "b", "--scope", "read"), "", "YAML"),
            ("too long", ("inspect",), "x" * 20000, "more than 16384")):
        code, out, err = run(*args, stdin=stdin)
        check(f"{what}: refused", (code in (1, 2), out, word in err, err.count("\n")), (True, "", True, 1))


os.mkdir(os.path.join(folder, "access"))
key_file = put("root.key", base64.b64encode(os.urandom(32)).decode(), 0o600)
put("access/main.yml", "organisations:\n  acme: {id: 4711, apps: {web: {id: 17}, worker: {id: 18}}}\n  other: {id: 4712}\n"
    f"flyv1_keys:\n- {{kid: 2eed, key_file: {key_file}}}\n")
put("region.yml", f"listen: 127.0.0.1:0\ndata: {folder}/data\naccess: {folder}/access\nquery: {{latency_offset: 0s}}\n")
region = Region(None, "--config", os.path.join(folder, "region.yml"), dev=False)
writer = run("mint", "--kid", "2eed", "--key-file", key_file, "--organisation-id", "4711", "--mask", "*")[1].strip()
check("a first write", region.request("POST", WRITE, b'up{app="web"} 1\nup{app="worker"} 1\n',
                                      {"Authorization": "FlyV1 " + writer})[0], 204)
opaque(region)
flyv1(region, key_file)
bad()
check("no token in the log", not any(t in region.read_log() for t in ("fm2_", "psc_")))
check("it stops", region.stop(), 0)
shutil.rmtree(folder)
tally.finish()
