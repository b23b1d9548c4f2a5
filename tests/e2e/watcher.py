"""A phone that watches: it subscribes, answers every NOTIFY and keeps what they said."""
import re
import xml.etree.ElementTree as XML

from machine import PATIENCE_S
from sip_client import SipClient

DIALOG = {"d": "urn:ietf:params:xml:ns:dialog-info"}


class Watch:
    """One subscription of a watcher."""

    def __init__(self, phone, resource, package, call_id, to_tag):
        self.phone, self.resource, self.package, self.call_id, self.to_tag = phone, resource, package, call_id, to_tag

    def notify(self, seconds=PATIENCE_S):
        """The next NOTIFY of it, answered with 200."""
        message = self.phone.receive(lambda m: m.method == "NOTIFY" and m.get("Call-ID") == self.call_id, seconds)
        assert message is not None, f"no NOTIFY for {self.package} of {self.resource}; there were {[m.start for m in self.phone.kept]}"
        self.phone.reply(message, 200, "OK")
        return message

    def quiet(self, seconds=0.5):
        message = self.phone.receive(lambda m: m.method == "NOTIFY" and m.get("Call-ID") == self.call_id, seconds)
        assert message is None, message.body

    def again(self, expires, **more):
        """A refresh, or with 0 the end: the final answer."""
        phone = self.phone
        kept, phone.call_id = phone.call_id, self.call_id
        answer = phone.request("SUBSCRIBE", f"sip:{self.resource}@pbx.test", [f"Event: {self.package}", f"Expires: {expires}"], to_tag=self.to_tag, **more)
        phone.call_id = kept
        return answer


class Watcher(SipClient):
    def ask_to_watch(self, resource, package="dialog", expires=600, headers=(), call_id=None, **more):
        self.call_id = call_id or self.call_id + "x"
        return self.request("SUBSCRIBE", f"sip:{resource}@pbx.test", [f"Event: {package}", f"Expires: {expires}", *headers], **more)

    def watch(self, resource, package="dialog", **more):
        answer = self.ask_to_watch(resource, package, **more)
        assert answer is not None and answer.status == 200, answer and answer.start
        return Watch(self, resource, package, self.call_id, re.search(r";tag=([^;]+)", answer.get("To")).group(1))


def dialogs(notify):
    """version, state and the dialogs of a dialog-info document as dictionaries."""
    root = XML.fromstring(notify.body)
    given = []
    for node in root.findall("d:dialog", DIALOG):
        remote = node.find("d:remote/d:identity", DIALOG)
        given.append(dict(node.attrib, state=node.find("d:state", DIALOG).text, remote=None if remote is None else remote.text))
    return int(root.get("version")), root.get("state"), given


def cseq(notify):
    return int(notify.get("CSeq").split()[0])
