"""Short calls without a phone, for tests of what a call leaves behind: SIPp calls, SIPp answers."""
from ports import free_port
from sip_client import SipClient

CALL_EVENTS = ["call.started", "call.ringing", "call.answered", "call.ended"]


class Callers:
    """Account 1001 calls 1002, as often as asked for."""

    def __init__(self, pbx, sipp, **account):
        self.pbx, self.sipp = pbx, sipp
        self.at_once = min(account.get("max_calls", 4), 10)  # as many as an account may have, and no crowd when SIPp catches up after the machine stood still
        self.secret = pbx.account("1001", **account)
        self.callee_port = free_port()
        callee = SipClient(pbx, "1002", pbx.account("1002", **account))
        assert callee.register(contact=f"<sip:1002@127.0.0.1:{self.callee_port}>").status == 200
        callee.close()

    def pace(self, rate, talk_ms):
        """Words for SIPp that begins so many calls a second."""
        return ["-r", rate, "-d", talk_ms, "-l", self.at_once]

    def call(self, times=1, rate=5, talk_ms=200):
        """`times` calls from ringing to BYE; returns when the last is over."""
        callee = self.sipp(self.pbx, "uas_answers", calls=times, port=self.callee_port)
        caller = self.sipp(self.pbx, "uac_calls", calls=times, keys={"number": "1001"}, user="1001", secret=self.secret, args=self.pace(rate, talk_ms))
        caller.join()
        callee.join()
