/*
 * tones_countries - what the networks of countries say: ITU-T E.180 Supplement 2, and national standards where it has none
 *
 * A cadence is frequencies in Hz and lengths in ms: "480+620/500 0/500" is two tones for half a second and half a second of silence, again and
 * again; "400*25/400" is 400 Hz whose loudness swings 25 times a second; without a length it never ends; "!" before it: once. A site has
 * others in the setting media.tones, in the same words. "waiting" is heard by who is called during a call, "stutter" is a dial tone that
 * wants attention.
 */
#include "tones.h"

#define PULSES(sound) sound "/100 0/100 " sound "/100 0/100 " sound "/100 0/100 " sound "/100 0/100 " sound "/100 0/100 "

/* Country, name, cadence; no country: everywhere. Of several with one name the first is played, all are listened for. */
const struct rtp_tone_row rtp_tone_rows[] = {
	{ "", "beep", "!1000/500" },
	{ "", "confirm", "!600/100 0/50 900/150" },

	{ "us", "dial", "350+440" },
	{ "us", "ringback", "440+480/2000 0/4000" },
	{ "us", "busy", "480+620/500 0/500" },
	{ "us", "congestion", "480+620/250 0/250" },
	{ "us", "waiting", "440/300 0/9700" },
	{ "us", "stutter", PULSES("350+440") PULSES("350+440") "350+440/8000" },
	{ "us", "sit", "!914/274 1371/274 1777/380" }, /* intercept, the commonest */
	{ "us", "sit", "!985/380 1371/274 1777/380" }, /* vacant code */
	{ "us", "sit", "!985/380 1429/380 1777/380" }, /* no circuit */
	{ "us", "sit", "!914/274 1429/380 1777/380" }, /* reorder */

	{ "ca", "dial", "350+440" },
	{ "ca", "ringback", "440+480/2000 0/4000" },
	{ "ca", "busy", "480+620/500 0/500" },
	{ "ca", "congestion", "480+620/250 0/250" },
	{ "ca", "waiting", "440/300 0/9700" },
	{ "ca", "stutter", PULSES("350+440") PULSES("350+440") "350+440/8000" },

	{ "uk", "dial", "350+440" },
	{ "uk", "ringback", "400+450/400 0/200 400+450/400 0/2000" },
	{ "uk", "busy", "400/375 0/375" },
	{ "uk", "congestion", "400/400 0/350 400/225 0/525" },
	{ "uk", "waiting", "400/100 0/4000" },

	{ "ar", "dial", "425" },
	{ "ar", "ringback", "425/1000 0/4500" },
	{ "ar", "busy", "425/300 0/200" },
	{ "ar", "congestion", "425/200 0/300" },
	{ "ar", "waiting", "425/200 0/9000" },

	{ "at", "dial", "420" },
	{ "at", "ringback", "420/1000 0/5000" },
	{ "at", "busy", "420/400 0/400" },
	{ "at", "congestion", "420/200 0/200" },
	{ "at", "waiting", "420/40 0/1960" },

	{ "au", "dial", "413+438" },
	{ "au", "ringback", "413+438/400 0/200 413+438/400 0/2000" },
	{ "au", "busy", "425/375 0/375" },
	{ "au", "congestion", "425/375 0/375" }, /* every other one softer */
	{ "au", "waiting", "425/200 0/200 425/200 0/4400" },

	{ "be", "dial", "425" },
	{ "be", "ringback", "425/1000 0/3000" },
	{ "be", "busy", "425/500 0/500" },
	{ "be", "congestion", "425/167 0/167" },
	{ "be", "waiting", "1400/175 0/175 1400/175 0/3500" },

	{ "bg", "dial", "425" },
	{ "bg", "ringback", "425/1000 0/4000" },
	{ "bg", "busy", "425/500 0/500" },
	{ "bg", "congestion", "425/250 0/250" },
	{ "bg", "waiting", "425/150 0/150 425/150 0/4000" },

	{ "br", "dial", "425" },
	{ "br", "ringback", "425/1000 0/4000" },
	{ "br", "busy", "425/250 0/250" },
	{ "br", "congestion", "425/250 0/250 425/750 0/250" },
	{ "br", "waiting", "425/50 0/1000" },

	{ "ch", "dial", "425" },
	{ "ch", "ringback", "425/1000 0/4000" },
	{ "ch", "busy", "425/500 0/500" },
	{ "ch", "congestion", "425/200 0/200" },
	{ "ch", "waiting", "425/200 0/200 425/200 0/4000" },

	{ "cl", "dial", "400" },
	{ "cl", "ringback", "400/1000 0/3000" },
	{ "cl", "busy", "400/500 0/500" },
	{ "cl", "congestion", "400/200 0/200" },
	{ "cl", "waiting", "400/250 0/8750" },

	{ "cn", "dial", "450" },
	{ "cn", "ringback", "450/1000 0/4000" },
	{ "cn", "busy", "450/350 0/350" },
	{ "cn", "congestion", "450/700 0/700" },
	{ "cn", "waiting", "450/400 0/4000" },

	{ "cr", "dial", "450" },
	{ "cr", "ringback", "450/1203 0/4797" },
	{ "cr", "busy", "450/330 0/330" },
	{ "cr", "congestion", "450/330 0/330" },
	{ "cr", "waiting", "450/150 0/150 450/150 0/8000" },

	{ "cz", "dial", "425/330 0/330 425/660 0/660" },
	{ "cz", "ringback", "425/1000 0/4000" },
	{ "cz", "busy", "425/330 0/330" },
	{ "cz", "congestion", "425/165 0/165" },
	{ "cz", "waiting", "425/330 0/9000" },

	{ "de", "dial", "425" },
	{ "de", "ringback", "425/1000 0/4000" },
	{ "de", "busy", "425/480 0/480" },
	{ "de", "congestion", "425/240 0/240" },
	{ "de", "waiting", "425/200 0/200 425/200 0/5000" },

	{ "dk", "dial", "425" },
	{ "dk", "ringback", "425/1000 0/4000" },
	{ "dk", "busy", "425/500 0/500" },
	{ "dk", "congestion", "425/200 0/200" },
	{ "dk", "waiting", "425/200 0/600 425/200 0/3000" },

	{ "ee", "dial", "425" },
	{ "ee", "ringback", "425/1000 0/4000" },
	{ "ee", "busy", "425/300 0/300" },
	{ "ee", "congestion", "425/200 0/200" },

	{ "es", "dial", "425" },
	{ "es", "ringback", "425/1500 0/3000" },
	{ "es", "busy", "425/200 0/200" },
	{ "es", "congestion", "425/200 0/200 425/200 0/200 425/200 0/600" },
	{ "es", "waiting", "425/175 0/175 425/175 0/3500" },

	{ "fi", "dial", "425" },
	{ "fi", "ringback", "425/1000 0/4000" },
	{ "fi", "busy", "425/300 0/300" },
	{ "fi", "congestion", "425/200 0/200" },
	{ "fi", "waiting", "425/150 0/150 425/150 0/8000" },

	{ "fr", "dial", "440" },
	{ "fr", "ringback", "440/1500 0/3500" },
	{ "fr", "busy", "440/500 0/500" },
	{ "fr", "congestion", "440/250 0/250" },
	{ "fr", "waiting", "440/300 0/10000" },

	{ "gr", "dial", "425/200 0/300 425/700 0/800" },
	{ "gr", "ringback", "425/1000 0/4000" },
	{ "gr", "busy", "425/300 0/300" },
	{ "gr", "congestion", "425/200 0/200" },
	{ "gr", "waiting", "425/150 0/150 425/150 0/8000" },

	{ "hu", "dial", "425" },
	{ "hu", "ringback", "425/1250 0/3750" },
	{ "hu", "busy", "425/300 0/300" },
	{ "hu", "congestion", "425/300 0/300" },
	{ "hu", "waiting", "425/40 0/1960" },

	{ "id", "dial", "425" },
	{ "id", "ringback", "425/1000 0/4000" },
	{ "id", "busy", "425/500 0/500" },
	{ "id", "congestion", "425/250 0/250" },
	{ "id", "waiting", "425/150 0/150 425/150 0/10000" },

	{ "il", "dial", "414" },
	{ "il", "ringback", "414/1000 0/3000" },
	{ "il", "busy", "414/500 0/500" },
	{ "il", "congestion", "414/250 0/250" },
	{ "il", "waiting", "414/100 0/100 414/100 0/100 414/600 0/3000" },

	{ "in", "dial", "400*25" },
	{ "in", "ringback", "400*25/400 0/200 400*25/400 0/2000" },
	{ "in", "busy", "400/750 0/750" },
	{ "in", "congestion", "400/250 0/250" },
	{ "in", "waiting", "400/200 0/100 400/200 0/7500" },

	{ "it", "dial", "425/200 0/200 425/600 0/1000" },
	{ "it", "ringback", "425/1000 0/4000" },
	{ "it", "busy", "425/500 0/500" },
	{ "it", "congestion", "425/200 0/200" },
	{ "it", "waiting", "425/400 0/100 425/250 0/100 425/150 0/14000" },

	{ "jp", "dial", "400" },
	{ "jp", "ringback", "400*16/1000 0/2000" },
	{ "jp", "busy", "400/500 0/500" },
	{ "jp", "congestion", "400/500 0/500" },
	{ "jp", "waiting", "400*16/500 0/8000" },

	{ "kr", "dial", "350+440" },
	{ "kr", "ringback", "440+480/1000 0/2000" },
	{ "kr", "busy", "480+620/500 0/500" },
	{ "kr", "congestion", "480+620/300 0/200" },
	{ "kr", "waiting", "350+440/250 0/250 350+440/250 0/3250" },

	{ "lt", "dial", "425" },
	{ "lt", "ringback", "425/1000 0/4000" },
	{ "lt", "busy", "425/350 0/350" },
	{ "lt", "congestion", "425/200 0/200" },
	{ "lt", "waiting", "425/150 0/150 425/150 0/4000" },

	{ "mx", "dial", "425" },
	{ "mx", "ringback", "425/1000 0/4000" },
	{ "mx", "busy", "425/250 0/250" },
	{ "mx", "congestion", "425/250 0/250" },
	{ "mx", "waiting", "425/200 0/600 425/200 0/10000" },

	{ "my", "dial", "425" },
	{ "my", "ringback", "425/400 0/200 425/400 0/2000" },
	{ "my", "busy", "425/500 0/500" },
	{ "my", "congestion", "425/500 0/500" },

	{ "nl", "dial", "425" },
	{ "nl", "ringback", "425/1000 0/4000" },
	{ "nl", "busy", "425/500 0/500" },
	{ "nl", "congestion", "425/250 0/250" },
	{ "nl", "waiting", "425/500 0/9500" },

	{ "no", "dial", "425" },
	{ "no", "ringback", "425/1000 0/4000" },
	{ "no", "busy", "425/500 0/500" },
	{ "no", "congestion", "425/200 0/200" },
	{ "no", "waiting", "425/200 0/600 425/200 0/10000" },

	{ "nz", "dial", "400" },
	{ "nz", "ringback", "400+450/400 0/200 400+450/400 0/2000" },
	{ "nz", "busy", "400/500 0/500" },
	{ "nz", "congestion", "400/250 0/250" },
	{ "nz", "waiting", "400/200 0/3000" },

	{ "pa", "dial", "425" },
	{ "pa", "ringback", "425/1200 0/4800" },
	{ "pa", "busy", "425/320 0/320" },
	{ "pa", "congestion", "425/320 0/320" },

	{ "ph", "dial", "425" },
	{ "ph", "ringback", "425+480/1000 0/4000" },
	{ "ph", "busy", "480+620/500 0/500" },
	{ "ph", "congestion", "480+620/250 0/250" },
	{ "ph", "waiting", "440/300 0/10000" },

	{ "pl", "dial", "425" },
	{ "pl", "ringback", "425/1000 0/4000" },
	{ "pl", "busy", "425/500 0/500" },
	{ "pl", "congestion", "425/500 0/500" },
	{ "pl", "waiting", "425/150 0/150 425/150 0/4000" },

	{ "pt", "dial", "425" },
	{ "pt", "ringback", "425/1000 0/5000" },
	{ "pt", "busy", "425/500 0/500" },
	{ "pt", "congestion", "425/200 0/200" },
	{ "pt", "waiting", "440/300 0/10000" },

	{ "ru", "dial", "425" },
	{ "ru", "ringback", "425/1000 0/4000" },
	{ "ru", "busy", "425/350 0/350" },
	{ "ru", "congestion", "425/175 0/175" },
	{ "ru", "waiting", "425/200 0/5000" },

	{ "se", "dial", "425" },
	{ "se", "ringback", "425/1000 0/5000" },
	{ "se", "busy", "425/250 0/250" },
	{ "se", "congestion", "425/250 0/750" },
	{ "se", "waiting", "425/200 0/500 425/200 0/9100" },

	{ "sg", "dial", "425" },
	{ "sg", "ringback", "425*24/400 0/200 425*24/400 0/2000" },
	{ "sg", "busy", "425/750 0/750" },
	{ "sg", "congestion", "425/250 0/250" },
	{ "sg", "waiting", "425*24/300 0/200 425*24/300 0/3200" },

	{ "th", "dial", "400*50" },
	{ "th", "ringback", "420/1000 0/5000" },
	{ "th", "busy", "400/500 0/500" },
	{ "th", "congestion", "400/300 0/300" },

	{ "tr", "dial", "450" },
	{ "tr", "ringback", "450/2000 0/4000" },
	{ "tr", "busy", "450/500 0/500" },
	{ "tr", "congestion", "450/200 0/200 450/200 0/200 450/200 0/200 450/600 0/200" },
	{ "tr", "waiting", "450/200 0/600 450/200 0/8000" },

	{ "tw", "dial", "350+440" },
	{ "tw", "ringback", "440+480/1000 0/2000" },
	{ "tw", "busy", "480+620/500 0/500" },
	{ "tw", "congestion", "480+620/250 0/250" },
	{ "tw", "waiting", "350+440/250 0/250 350+440/250 0/3250" },

	{ "ve", "dial", "425" },
	{ "ve", "ringback", "425/1000 0/4000" },
	{ "ve", "busy", "425/500 0/500" },
	{ "ve", "congestion", "425/250 0/250" },
	{ "ve", "waiting", "400+450/300 0/6000" },

	{ "za", "dial", "400*33" },
	{ "za", "ringback", "400*33/400 0/200 400*33/400 0/2000" },
	{ "za", "busy", "400/500 0/500" },
	{ "za", "congestion", "400/250 0/250" },
	{ "za", "waiting", "400*33/250 0/250 400*33/250 0/3250" },

	{ "", "sit", "!950/330 1400/330 1800/330" },
};
const size_t rtp_tone_row_count = sizeof rtp_tone_rows / sizeof rtp_tone_rows[0];
