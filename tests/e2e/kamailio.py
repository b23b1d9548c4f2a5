"""A provider: a real Kamailio with a registrar and digest. All its subscribers have the secret `geheim`; the account `acct` owns the numbers 1212555010X."""
import subprocess

from machine import PATIENCE_S, wait_for
from ports import free_port

CONFIG = """\
#!KAMAILIO
debug=1
log_stderror=yes
children=2
disable_tcp=yes
auto_aliases=no
listen=udp:127.0.0.1:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "kex.so"
loadmodule "corex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 3600)

request_route {{
	if (!mf_process_maxfwd_header("10")) {{
		sl_send_reply("483", "Too Many Hops");
		exit;
	}}
	if (has_totag()) {{
		if (loose_route() || (is_method("ACK") && t_check_trans()))
			t_relay();
		else
			sl_send_reply("404", "Not here");
		exit;
	}}
	if (is_method("CANCEL")) {{
		if (t_check_trans())
			t_relay();
		exit;
	}}
	t_check_trans();
	if (is_method("OPTIONS")) {{
		sl_send_reply("200", "Alive");
		exit;
	}}
	if (is_method("REGISTER")) {{
		if (!pv_www_authenticate("provider", "geheim", "0")) {{
			www_challenge("provider", "1");
			exit;
		}}
		if ($au != $tU) {{
			sl_send_reply("403", "Not yours");
			exit;
		}}
		save("location");
		xlog("L_ALERT", "saved $tU $hdr(Contact) expires $hdr(Expires)\\n");
		exit;
	}}
	if (!is_method("INVITE")) {{
		sl_send_reply("405", "Not here");
		exit;
	}}
	if (!pv_proxy_authenticate("provider", "geheim", "0")) {{
		proxy_challenge("provider", "1");
		exit;
	}}
	consume_credentials();
	xlog("L_ALERT", "call of $au from $fU asserted $ai to $rU\\n");
	record_route();
	if ($rU =~ "^1212555010[0-9]$")
		$rU = "acct";
	if (!lookup("location")) {{
		sl_send_reply("404", "Nobody");
		exit;
	}}
	t_relay();
}}
"""


class Kamailio:
    """Looks enough like a Pbx for a Phone to be its subscriber."""

    secret = "geheim"

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        self.sip_port = free_port()
        (directory / "kamailio.cfg").write_text(CONFIG.format(port=self.sip_port))
        self.log_path = directory / "log"
        self._log = open(self.log_path, "wb")
        self.process = subprocess.Popen(["/usr/sbin/kamailio", "-f", str(directory / "kamailio.cfg"), "-DD", "-E", "-m", "32", "-M", "4", "-Y",
                                         str(directory), "-P", str(directory / "pid")],
                                        stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def port_of(self, _transport):
        return self.sip_port

    def ctl(self, *words):
        """`registrations list NUMBER`, which a Phone asks for."""
        assert words[:2] == ("registrations", "list"), words
        return [{"contact": line} for line in self.log().splitlines() if f"saved {words[2]} " in line]

    wait_for = staticmethod(wait_for)

    def said(self, text):
        self.wait_for(lambda: text in self.log(), f"Kamailio to say {text!r}: {self.log()[-2000:]}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
        self._log.close()
