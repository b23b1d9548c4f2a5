"""Who may ask: first passwords, tries that fail, tokens, and users who give no more than they have."""
import json
import os
import stat
import threading

from gateway import SETTINGS, Pbx, ask, first_password, login, new_user


# ---- log-in ---------------------------------------------------------------------------------------------


def test_the_first_password_serves_once_and_must_be_changed(fresh):
    daemon = fresh(first_start=True)
    password = first_password(daemon)
    assert stat.S_IMODE(os.stat(daemon.directory / "data" / "first-login").st_mode) == 0o600
    assert password not in daemon.log()
    first = login(daemon, user="admin", password=password)
    assert first.json["must_change"] is True and first.json["scopes"] == ""
    assert not (daemon.directory / "data" / "first-login").exists()

    token = first.json["token"]
    assert ask(daemon, "GET", "/api/v1/users", token=token).status == 403
    assert ask(daemon, "GET", "/api/v1/auth/me", token=token).json["user"] == "admin"
    wrong = ask(daemon, "POST", "/api/v1/auth/password", {"password": "no", "new_password": "correct horse"}, token=token)
    assert wrong.status == 422 and wrong.json["errors"][0]["pointer"] == "/password"
    changed = ask(daemon, "POST", "/api/v1/auth/password", {"password": password, "new_password": "correct horse"}, token=token)
    assert changed.status == 200 and changed.json["scopes"] == "*"

    assert ask(daemon, "GET", "/api/v1/auth/me", token=token).status == 401, "a password change ends other sessions"
    assert ask(daemon, "GET", "/api/v1/users", token=changed.json["token"]).status == 200
    assert login(daemon, user="admin", password=password).status == 401
    assert login(daemon, user="admin", password="correct horse").json["must_change"] is False


def test_a_restart_makes_no_second_admin_and_keeps_tokens(fresh):
    daemon = fresh(first_start=True)
    token = daemon.admin_token()
    daemon.stop()
    daemon.start()
    assert ask(daemon, "GET", "/api/v1/users", token=token).status == 200
    assert len(daemon.log_lines("first_user_made")) == 1


def test_the_sixth_try_is_not_judged_any_more(fresh):
    daemon = fresh()
    right = daemon.ctl("user", "passwd", "admin")["one_time_password"]
    statuses = [login(daemon, user="admin", password="wrong").status for _ in range(5)]
    assert statuses == [401] * 5
    locked = login(daemon, user="admin", password=right)
    assert locked.status == 429 and 890 <= int(locked.headers["Retry-After"]) <= 900
    daemon.ctl("user", "add", "other", "calls:read")
    assert login(daemon, user="other", password="wrong").status == 401, "only that user is locked"


def test_a_lock_outlives_kill_minus_nine(fresh):
    daemon = fresh()
    assert [login(daemon, user="admin", password="wrong").status for _ in range(6)] == [401] * 5 + [429]
    daemon.kill()
    daemon.restart()
    locked = login(daemon, user="admin", password="wrong")
    assert locked.status == 429 and 600 <= int(locked.headers["Retry-After"]) <= 900
    daemon.ctl("user", "add", "other", "calls:read")
    assert login(daemon, user="other", password="wrong").status == 401, "only that user is locked"


def test_ready_means_that_people_can_log_in(tmp_path):
    daemon = Pbx(tmp_path, SETTINGS, first_start=True).start()  # returns at READY=1
    assert ask(daemon, "GET", "/readyz").status == 200
    assert login(daemon, user="admin", password=first_password(daemon)).status == 200
    daemon.stop()


def test_tries_at_the_same_time_count_each(fresh):
    daemon = fresh()
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(login(daemon, user="admin", password="wrong").status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [401] * 5 + [429] * 3


def test_a_right_password_forgives_the_wrong_ones(pbx):
    once = pbx.ctl("user", "add", "clumsy", "calls:read")["one_time_password"]
    for _ in range(2):
        for _ in range(4):
            assert login(pbx, user="clumsy", password="wrong").status == 401
        assert login(pbx, user="clumsy", password=once).status == 200


def test_who_does_not_exist_is_refused_in_the_same_words(pbx):
    once = pbx.ctl("user", "add", "known", "calls:read")
    known, unknown = login(pbx, user="known", password="wrong"), login(pbx, user="nobody", password="wrong")
    assert once and known.status == unknown.status == 401
    assert known.json["detail"] == unknown.json["detail"] and known.json["code"] == unknown.json["code"]


def test_an_extension_logs_in_for_its_own_account_only(fresh):
    daemon = fresh(SETTINGS + '  user_scopes: ["extensions:read"]\n')
    daemon.ctl("extension", "add", "1001", "name=One", "password=correct horse")
    answer = login(daemon, extension="1001", password="correct horse")
    assert answer.status == 200 and answer.json["scopes"] == "extensions:read"
    token = answer.json["token"]
    assert ask(daemon, "GET", "/api/v1/auth/me", token=token).json["extension"] == "1001"
    assert ask(daemon, "GET", "/api/v1/users", token=token).status == 403
    daemon.ctl("extension", "remove", "1001")
    assert ask(daemon, "GET", "/api/v1/auth/me", token=token).status == 401, "an account that has gone takes its tokens along"


# ---- tokens and users -----------------------------------------------------------------------------------


def test_logging_out_ends_a_token_at_once(pbx):
    token = new_user(pbx, "leaving", "calls:read")
    assert ask(pbx, "POST", "/api/v1/auth/logout", token=token).status == 204
    assert ask(pbx, "GET", "/api/v1/auth/me", token=token).status == 401


def test_a_named_token_is_shown_once_kept_hashed_and_revoked(pbx):
    admin = pbx.admin_token()
    made = ask(pbx, "POST", "/api/v1/tokens", {"name": "grafana", "scopes": ["metrics:read"]}, token=admin)
    assert made.status == 201 and made.headers["Location"] == f"/api/v1/tokens/{made.json['id']}"
    token = made.json["token"]
    assert ask(pbx, "GET", "/api/v1/metrics", token=token).status == 200
    listed = ask(pbx, "GET", "/api/v1/tokens", token=admin).json["items"]
    assert token not in json.dumps(listed) and made.json["id"] in [item["id"] for item in listed]
    for path in (pbx.directory / "data").glob("pbx.db*"):
        assert token.encode() not in path.read_bytes()
    assert ask(pbx, "DELETE", f"/api/v1/tokens/{made.json['id']}", token=admin).status == 204
    assert ask(pbx, "GET", "/api/v1/metrics", token=token).status == 401
    assert ask(pbx, "DELETE", f"/api/v1/tokens/{made.json['id']}", token=admin).status == 404


def test_nobody_gives_what_they_have_not_got(pbx):
    token = new_user(pbx, "clerk", "users:write", "users:read", "tokens:write", "calls:read")
    for scopes in (["admin"], ["*"], ["calls:*"], ["cdr:read"]):
        assert ask(pbx, "POST", "/api/v1/tokens", {"name": "t", "scopes": scopes}, token=token).status == 403
        assert ask(pbx, "POST", "/api/v1/users", {"name": "puppet", "scopes": scopes}, token=token).status == 403
    assert ask(pbx, "POST", "/api/v1/tokens", {"name": "t", "scopes": ["calls:read"]}, token=token).status == 201
    assert ask(pbx, "POST", "/api/v1/users/admin:passwd", {}, token=token).status == 403, "a clerk cannot become the administrator"
    assert ask(pbx, "DELETE", "/api/v1/users/admin", token=token).status == 403


def test_the_last_administrator_stays(pbx):
    admin = pbx.admin_token()
    assert ask(pbx, "DELETE", "/api/v1/users/admin", token=admin).json["code"] == "last_admin"
    assert ask(pbx, "PATCH", "/api/v1/users/admin", {"scopes": ["calls:read"]}, token=admin).status == 409
    pbx.ctl("user", "add", "second", "admin")
    assert ask(pbx, "PATCH", "/api/v1/users/admin", {"scopes": ["calls:read"]}, token=admin).status == 200
    assert ask(pbx, "DELETE", "/api/v1/users/second", token=admin).status == 409
    assert ask(pbx, "PATCH", "/api/v1/users/admin", {"scopes": ["admin"]}, token=admin).status == 200
    assert ask(pbx, "DELETE", "/api/v1/users/second", token=admin).status == 204
    assert ask(pbx, "GET", "/api/v1/users/second", token=admin).status == 404


def test_a_user_who_is_removed_is_out(pbx):
    token = new_user(pbx, "fired", "calls:read")
    assert ask(pbx, "GET", "/api/v1/auth/me", token=token).status == 200
    pbx.ctl("user", "remove", "fired")
    assert ask(pbx, "GET", "/api/v1/auth/me", token=token).status == 401


def test_a_name_that_could_break_a_path_is_refused(pbx):
    for name in ("a/b", "a b", "a\nb", "ü", "x" * 65):
        wrong = len(name) > 64 or "\n" in name  # for any text
        refused = ask(pbx, "POST", "/api/v1/users", {"name": name, "scopes": ["calls:read"]}, token=pbx.admin_token())
        assert refused.status == (400 if wrong else 422)
        assert refused.json["errors"][0]["pointer"] == "/name"
