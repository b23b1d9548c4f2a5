"""What every route promises without code of its own: ETag and If-Match, Idempotency-Key, pages, the document."""
import threading

from gateway import SETTINGS, ask, new_user


def test_what_has_not_changed_is_304_and_what_has_changed_is_not_overwritten(pbx):
    admin = pbx.admin_token()
    pbx.ctl("user", "add", "seen", "calls:read")
    seen = ask(pbx, "GET", "/api/v1/users/seen", token=admin)
    tag = seen.headers["ETag"]
    again = ask(pbx, "GET", "/api/v1/users/seen", token=admin, If_None_Match=tag)
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    answers = []
    threads = [threading.Thread(target=lambda scope=scope: answers.append(
        ask(pbx, "PATCH", "/api/v1/users/seen", {"scopes": [scope]}, token=admin, If_Match=tag).status)) for scope in ("cdr:read", "calls:*")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 412]
    assert ask(pbx, "GET", "/api/v1/users/seen", token=admin, If_None_Match=tag).status == 200
    assert ask(pbx, "DELETE", "/api/v1/users/seen", token=admin, If_Match='"stale"').status == 412
    assert ask(pbx, "DELETE", "/api/v1/users/seen", token=admin, If_Match="*").status == 204
    assert ask(pbx, "DELETE", "/api/v1/users/seen", token=admin, If_Match="*").status == 404


def test_if_match_can_be_made_a_duty(fresh):
    daemon = fresh(SETTINGS + "  require_if_match: true\n")
    admin = daemon.admin_token()
    daemon.ctl("user", "add", "guarded", "calls:read")
    assert ask(daemon, "DELETE", "/api/v1/users/guarded", token=admin).status == 428
    tag = ask(daemon, "GET", "/api/v1/users/guarded", token=admin).headers["ETag"]
    assert ask(daemon, "DELETE", "/api/v1/users/guarded", token=admin, If_Match=tag).status == 204


def test_a_key_makes_two_requests_one(fresh):
    daemon = fresh()
    admin = daemon.admin_token()

    def make(body, key="first-try", token=admin):
        return ask(daemon, "POST", "/api/v1/tokens", body, token=token, Idempotency_Key=key)
    wanted = {"name": "once", "scopes": ["calls:read"]}
    first, second = make(wanted), make(wanted)
    assert first.status == second.status == 201 and first.json == second.json
    assert first.headers["Location"] == second.headers["Location"]
    assert second.headers["Idempotency-Replayed"] == "true" and not first.headers["Idempotency-Replayed"]
    names = [item["name"] for item in ask(daemon, "GET", "/api/v1/tokens", token=admin).json["items"]]
    assert names.count("once") == 1
    other = make({"name": "twice", "scopes": ["calls:read"]})
    assert (other.status, other.json["code"]) == (422, "key_reused")
    other_user = new_user(daemon, "clerk", "tokens:write", "calls:read")
    assert make(wanted, token=other_user).json["id"] != first.json["id"], "a key belongs to who sent it"
    assert make(wanted, key="second-try").json["id"] != first.json["id"]
    assert make(wanted, key="a b").status == 400
    for path in (daemon.directory / "data").glob("pbx.db*"):
        assert first.json["token"].encode() not in path.read_bytes(), "a kept answer shows no secret"
    daemon.kill()
    daemon.restart()
    assert make(wanted).json == first.json, "a restart changes nothing"


def test_a_key_that_was_refused_can_be_used_again_and_a_refusal_is_an_answer(pbx):
    admin = pbx.admin_token()

    def make(body):
        return ask(pbx, "POST", "/api/v1/users", body, token=admin, Idempotency_Key="refused-first")
    assert make({"name": "late"}).status == 400
    assert make({"name": "late", "scopes": ["calls:read"]}).status == 201, "what never reached its handler has used no key"
    twice = ask(pbx, "POST", "/api/v1/users", {"name": "late", "scopes": ["calls:read"]}, token=admin, Idempotency_Key="exists")
    pbx.ctl("user", "remove", "late")
    again = ask(pbx, "POST", "/api/v1/users", {"name": "late", "scopes": ["calls:read"]}, token=admin, Idempotency_Key="exists")
    assert twice.status == again.status == 409 and again.headers["Idempotency-Replayed"] == "true"


def test_ten_at_once_with_one_key_do_it_once(pbx):
    admin, answers = pbx.admin_token(), []
    threads = [threading.Thread(target=lambda: answers.append(
        ask(pbx, "POST", "/api/v1/users", {"name": "crowd", "scopes": ["calls:read"]}, token=admin, Idempotency_Key="crowd"))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [answer.status for answer in answers]
    assert set(statuses) <= {201, 409} and 201 in statuses
    assert {answer.json["code"] for answer in answers if answer.status == 409} <= {"in_progress"}
    assert len({answer.body for answer in answers if answer.status == 201}) == 1
    assert len([answer for answer in answers if answer.status == 201 and not answer.headers["Idempotency-Replayed"]]) == 1


def test_a_list_comes_in_pages(pbx):
    admin = pbx.admin_token()
    for number in range(5):
        pbx.ctl("token", "create", f"paged{number}", "calls:read")
    whole = [item["name"] for item in ask(pbx, "GET", "/api/v1/tokens?sort=name", token=admin).json["items"]]
    seen, path = [], "/api/v1/tokens?sort=name&limit=2&fields=name"
    while path:
        page = ask(pbx, "GET", path, token=admin)
        assert page.status == 200 and all(list(item) == ["name"] for item in page.json["items"])
        seen += [item["name"] for item in page.json["items"]]
        link = page.headers["Link"]
        assert bool(link) == bool(page.json["next_cursor"])
        path = "/api/v1/tokens" + link.split(">")[0].strip("<") if link else None
    assert seen == whole and len(seen) >= 6


def test_the_document_says_what_every_route_promises(pbx):
    document = ask(pbx, "GET", "/api/v1/openapi.json").json
    users = document["paths"]["/users"]
    assert {"$ref": "#/components/parameters/idempotency_key"} in users["post"]["parameters"]
    assert {"$ref": "#/components/parameters/sort"} in users["get"]["parameters"]
    assert {"$ref": "#/components/parameters/if_match"} in document["paths"]["/users/{name}"]["patch"]["parameters"]
    assert {"400", "412", "422", "429", "default"} <= set(document["paths"]["/users/{name}"]["patch"]["responses"])

    def references(value):
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            value = list(value.values())
        for item in value if isinstance(value, list) else []:
            yield from references(item)
    for reference in set(references(document)):
        at = document
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


def test_nothing_is_offered_without_a_word_about_it(pbx):
    """What is declared is what help, the manual and the console show: each option, command, argument and route says what it is."""
    silent = [f"option {option['path']}" for option in pbx.ctl("config", "show") if not option["help"]]
    for command in pbx.ctl("help"):
        silent += [] if command["help"] else [f"command {command['words']}"]
        silent += [f"{command['words']} {argument['name']}" for argument in command["args"] if not argument["help"]]
    for path, methods in ask(pbx, "GET", "/api/v1/openapi.json").json["paths"].items():
        silent += [f"{method} {path}" for method, route in methods.items() if method in ("get", "post", "put", "patch", "delete") and not route.get("summary")]
    assert silent == []
