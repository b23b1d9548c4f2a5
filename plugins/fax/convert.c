/*
 * convert - a PDF becomes fax pages, by ghostscript
 *
 * A document of strangers is read by a program of its own (pbx/programs.h), with limits of time, memory and disk, and with ghostscript's own
 * -dSAFER. What it does wrong is its end, not ours.
 */
#include "fax.h"
#include <unistd.h>

#define MOST_RUN_MS 25000u /* who asked waits for 30 s */
#define MOST_MEMORY_MIB 1024u
#define MOST_FILE_MIB 256u

int convert_pdf(struct plugin *plugin, const char *pdf, const char *tiff,
		void (*done)(void *self, pbx_program program, const struct pbx_program_result *result), void *self)
{
	char output[PATH_SIZE + 16], last[32];
	const char *const arguments[] = { "gs",        "-q",          "-dSAFER",      "-dBATCH", "-dNOPAUSE", "-sDEVICE=tiffg4",
					  "-r204x196", "-g1728x2292", "-dPDFFitPage", last,      output,      pdf,
					  NULL };
	const struct pbx_program_spec spec = { .size = sizeof spec,
					       .run_ms = MOST_RUN_MS,
					       .argv = arguments,
					       .most_memory_mib = MOST_MEMORY_MIB,
					       .most_file_mib = MOST_FILE_MIB };

	(void)snprintf(output, sizeof output, "-sOutputFile=%s", tiff);
	(void)snprintf(last, sizeof last, "-dLastPage=%d", MOST_PAGES + 1);
	return plugin->programs->start(plugin->host, &spec, done, self, NULL);
}

int convert_judge(const struct pbx_program_result *result, const char *tiff, char ret_reason[REASON_SIZE])
{
	if (result->status == PBX_OK && result->exit_status == 0 && access(tiff, R_OK) == 0) /* it may end well without a page */
		return PBX_OK;
	if (result->status == PBX_ENOENT) {
		(void)snprintf(ret_reason, REASON_SIZE, "%s",
			       "it is a PDF, and ghostscript, which makes fax pages of it, is not installed: install it, or send a TIFF");
		return PBX_ENOTSUP;
	}
	(void)snprintf(ret_reason, REASON_SIZE, "%s",
		       result->status == PBX_ETIMEOUT ? "it is a PDF that takes too long to be drawn: send fewer pages"
						      : "it is a PDF that cannot be read");
	return PBX_EINVAL;
}
