"""A plugin from outside the tree has a SIP session with another system that is no call; the other system reads it with Python's own MIME parser."""
import email
import email.policy
import re

import pytest
from pbx import Refused
from sip_client import SipClient

SDP = "v=0\r\no=zone 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=inactive\r\n"
SHOUT = "Zwölf Uhr; --das Büro\r\n--schließt--"


def within(address):
    return re.search(r"<([^>]+)>", address).group(1)


def test_a_session_that_is_no_call(make_pbx, build, tmp_path):
    server = SipClient(None, "zone")
    folder = tmp_path / "dropped"
    build(folder, name="pager")
    server.pbx = pbx = make_pbx(f"pager:\n  port: {server.port}\n", plugins=[folder])
    try:
        pbx.ctl("pager", "call", SHOUT)
        invite = server.expect("INVITE")
        whole = email.message_from_string(f"Content-Type: {invite.get('Content-Type')}\r\n\r\n{invite.body}", policy=email.policy.SMTP)
        first, second = whole.iter_parts()
        assert whole.get_content_type() == "multipart/mixed" and not whole.defects and not whole.epilogue and not whole.preamble
        assert (first.get_content_type(), first.get_content_disposition()) == ("application/sdp", None)
        assert first.get_payload().startswith("v=0\r\n") and first.get_payload().endswith("a=inactive\r\n")
        assert (second.get_content_type(), second.get_content_disposition()) == ("text/plain", "render")
        assert second.get_param("charset") == "utf-8" and second.get_payload() == SHOUT
        assert ">;+sip.pager" in invite.get("Contact")
        server.call_id = invite.get("Call-ID")
        server.reply(invite, 200, "OK", body=SDP)
        server.expect("ACK")
        assert pbx.wait_event("pager.answered")["data"] == {"sip_code": 200, "method": "", "type": "application/sdp", "body": SDP}
        assert pbx.ctl("status")["sip"]["sessions"] == 1
        with pytest.raises(Refused, match="1 SIP session"):
            pbx.ctl("plugin", "unload", "pager")

        pbx.ctl("pager", "say", "closed")
        again = server.expect("INVITE")
        assert (again.get("Content-Type"), again.body, again.get("Call-ID")) == ("text/plain;charset=utf-8", "closed", server.call_id)
        after = pbx.last_seq()
        server.reply(again, 488, "Not Acceptable Here")
        assert pbx.wait_event("pager.answered", after)["data"]["sip_code"] == 488

        us, tag = within(invite.get("From")), re.search(r";tag=(.+)", invite.get("From")).group(1)
        assert server.ask("INFO", within(invite.get("Contact")), to=us, to_tag=tag, body="which zone?", kind="text/plain").status == 200
        assert pbx.wait_event("pager.asked")["data"] == {"sip_code": 0, "method": "INFO", "type": "text/plain", "body": "which zone?"}
        assert server.ask("BYE", within(invite.get("Contact")), to=us, to_tag=tag).status == 200
        assert pbx.wait_event("pager.ended")["data"]["sip_code"] == 200

        pbx.ctl("pager", "call", "once more")
        invite = server.expect("INVITE")
        server.reply(invite, 200, "OK", body=SDP)
        server.expect("ACK")
        pbx.stop()
        assert server.expect("BYE").get("Call-ID") == invite.get("Call-ID")
    finally:
        server.close()
