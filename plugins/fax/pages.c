/*
 * pages - TIFF files of fax pages: may they be sent, and the same as a PDF
 *
 * A PDF holds pages compressed by T.6 as they are (CCITTFaxDecode, ISO 32000 7.4.6): nothing is decoded, so it is as small and as exact as what was
 * received.
 */
#include "fax.h"
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

#define POINTS_PER_INCH 72.0

/* ---- may it be sent ---- */

static bool is_fax_width(uint32_t width)
{
	static const uint32_t widths[] = { 1728, 2048, 2432, 864, 1024, 1216, 3456, 4096, 4864 };

	for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
		if (widths[i] == width)
			return true;
	return false;
}

static bool check_page(TIFF *tiff, int page, char ret_reason[REASON_SIZE])
{
	uint32_t width = 0;
	uint16_t bits = 1, samples = 1;

	(void)TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
	(void)TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
	(void)TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
	if (bits != 1 || samples != 1)
		(void)snprintf(ret_reason, REASON_SIZE, "page %d is not black and white: convert it, with tiffcp or gs -sDEVICE=tiffg4",
			       page);
	else if (!is_fax_width(width))
		(void)snprintf(ret_reason, REASON_SIZE, "page %d is %u points wide, a fax of A4 or letter 1728: scale it, or gs -r204x196",
			       page, width);
	else
		return true;
	return false;
}

static int check_pages(TIFF *tiff, char ret_reason[REASON_SIZE])
{
	int page = 1;

	do {
		if (page > MOST_PAGES) {
			(void)snprintf(ret_reason, REASON_SIZE, "it has more than %d pages", MOST_PAGES);
			return PBX_EINVAL;
		}
		if (!check_page(tiff, page++, ret_reason))
			return PBX_EINVAL;
	} while (TIFFReadDirectory(tiff));
	return PBX_OK;
}

int pages_check(const char *path, char ret_reason[REASON_SIZE])
{
	TIFF *tiff = TIFFOpen(path, "r");

	if (!tiff) {
		(void)snprintf(ret_reason, REASON_SIZE, "it is no TIFF");
		return PBX_EINVAL;
	}
	int err = check_pages(tiff, ret_reason);

	TIFFClose(tiff);
	return err;
}

/* ---- PDF ---- */

struct pdf {
	FILE *file;
	uint32_t objects;
	long at[3 * MOST_PAGES + 3]; /* where each object begins, by number */
};

static uint32_t begin_object(struct pdf *pdf, uint32_t number)
{
	if (number > pdf->objects)
		pdf->objects = number;
	pdf->at[number] = ftell(pdf->file);
	(void)fprintf(pdf->file, "%u 0 obj\n", number);
	return number;
}

static double inches(TIFF *tiff, uint32_t tag, uint32_t points, double usual)
{
	float resolution = 0;
	uint16_t unit = RESUNIT_INCH;

	(void)TIFFGetField(tiff, tag, &resolution);
	(void)TIFFGetFieldDefaulted(tiff, TIFFTAG_RESOLUTIONUNIT, &unit);
	double per_inch = resolution > 0 ? (double)resolution * (unit == RESUNIT_CENTIMETER ? 2.54 : 1) : usual;

	return points / per_inch;
}

/* Objects 3n, 3n+1 and 3n+2: the page, what is drawn, the picture. */
static bool put_page(struct pdf *pdf, TIFF *tiff, uint32_t page)
{
	uint32_t width = 0, rows = 0, number = 3 * page;
	uint16_t compression = 0, order = FILLORDER_MSB2LSB, meaning = PHOTOMETRIC_MINISWHITE;

	(void)TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
	(void)TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &rows);
	(void)TIFFGetField(tiff, TIFFTAG_COMPRESSION, &compression);
	(void)TIFFGetFieldDefaulted(tiff, TIFFTAG_FILLORDER, &order);
	(void)TIFFGetFieldDefaulted(tiff, TIFFTAG_PHOTOMETRIC, &meaning);
	if (compression != COMPRESSION_CCITT_T6 || TIFFNumberOfStrips(tiff) != 1)
		return false;
	double wide = inches(tiff, TIFFTAG_XRESOLUTION, width, 204) * POINTS_PER_INCH;
	double high = inches(tiff, TIFFTAG_YRESOLUTION, rows, 98) * POINTS_PER_INCH;
	tmsize_t size = TIFFRawStripSize(tiff, 0);
	uint8_t *strip = size > 0 ? malloc((size_t)size) : NULL;

	if (!strip || TIFFReadRawStrip(tiff, 0, strip, size) != size) {
		free(strip);
		return false;
	}
	if (order == FILLORDER_LSB2MSB)
		TIFFReverseBits(strip, size);
	char drawing[96];
	int length = snprintf(drawing, sizeof drawing, "%.2f 0 0 %.2f 0 0 cm /P Do", wide, high);

	(void)begin_object(pdf, number);
	(void)fprintf(pdf->file,
		      "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %.2f %.2f] /Contents %u 0 R /Resources << /XObject << /P %u 0 R >> >> "
		      ">>\nendobj\n",
		      wide, high, number + 1, number + 2);
	(void)begin_object(pdf, number + 1);
	(void)fprintf(pdf->file, "<< /Length %d >>\nstream\n%s\nendstream\nendobj\n", length, drawing);
	(void)begin_object(pdf, number + 2);
	(void)fprintf(
		pdf->file,
		"<< /Type /XObject /Subtype /Image /Width %u /Height %u /BitsPerComponent 1 /ColorSpace /DeviceGray /Filter /CCITTFaxDecode"
		" /DecodeParms << /K -1 /Columns %u /Rows %u /BlackIs1 %s >> /Length %lld >>\nstream\n",
		width, rows, width, rows, meaning == PHOTOMETRIC_MINISBLACK ? "true" : "false", (long long)size);
	(void)fwrite(strip, 1, (size_t)size, pdf->file);
	(void)fprintf(pdf->file, "\nendstream\nendobj\n");
	free(strip);
	return true;
}

static void put_end(struct pdf *pdf, uint32_t pages)
{
	(void)begin_object(pdf, 1);
	(void)fprintf(pdf->file, "<< /Type /Catalog /Pages 2 0 R >>\nendobj\n");
	(void)begin_object(pdf, 2);
	(void)fprintf(pdf->file, "<< /Type /Pages /Count %u /Kids [", pages);
	for (uint32_t page = 1; page <= pages; page++)
		(void)fprintf(pdf->file, " %u 0 R", 3 * page);
	(void)fprintf(pdf->file, " ] >>\nendobj\n");
	long table = ftell(pdf->file);

	(void)fprintf(pdf->file, "xref\n0 %u\n0000000000 65535 f \n", pdf->objects + 1);
	for (uint32_t number = 1; number <= pdf->objects; number++)
		(void)fprintf(pdf->file, "%010ld 00000 n \n", pdf->at[number]);
	(void)fprintf(pdf->file, "trailer\n<< /Size %u /Root 1 0 R >>\nstartxref\n%ld\n%%%%EOF\n", pdf->objects + 1, table);
}

static int write_pdf(TIFF *tiff, FILE *file)
{
	struct pdf *pdf = calloc(1, sizeof *pdf);
	uint32_t pages = 0;
	bool good = pdf != NULL;

	if (!pdf)
		return PBX_ENOMEM;
	pdf->file = file;
	(void)fprintf(file, "%%PDF-1.4\n");
	do
		good = pages < MOST_PAGES && put_page(pdf, tiff, ++pages);
	while (good && TIFFReadDirectory(tiff));
	if (good)
		put_end(pdf, pages);
	free(pdf);
	return good ? PBX_OK : PBX_ENOTSUP;
}

int pages_to_pdf(const char *path, char **ret_pdf, size_t *ret_size)
{
	TIFF *tiff = TIFFOpen(path, "r");
	char *text = NULL;
	size_t size = 0;
	FILE *file = tiff ? open_memstream(&text, &size) : NULL;
	int err = file ? write_pdf(tiff, file) : PBX_EIO;

	if (file && fclose(file) != 0 && err == PBX_OK)
		err = PBX_ENOMEM;
	if (tiff)
		TIFFClose(tiff);
	if (err != PBX_OK) {
		free(text);
		return err;
	}
	*ret_pdf = text;
	*ret_size = size;
	return PBX_OK;
}
