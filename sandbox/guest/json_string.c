/* Text as JSON strings: that of JavaScript, in UTF-16 or Latin-1, and our own, in UTF-8.

   What comes out is well-formed UTF-8 whatever went in, because the host's readers refuse anything else: a lone
   surrogate or a broken sequence becomes U+FFFD. Control characters are escaped, so that a record has no line break. */
#include "guest.h"

static const char hex[] = "0123456789abcdef";

static uint8_t *put_unit(uint8_t *p, uint32_t c)
{
    static const char short_escapes[] = "btn\0fr"; /* of U+0008 to U+000D; U+000B has none */
    if (c == '"' || c == '\\') {
        *p++ = '\\';
        *p++ = c;
    } else if (c < 0x20) {
        *p++ = '\\';
        if (c >= 8 && c <= 13 && c != 11) {
            *p++ = short_escapes[c - 8];
        } else {
            memcpy(p, "u00", 3);
            p[3] = hex[c >> 4];
            p[4] = hex[c & 15];
            p += 5;
        }
    } else if (c < 0x80) {
        *p++ = c;
    } else if (c < 0x800) {
        *p++ = 0xc0 | c >> 6;
        *p++ = 0x80 | (c & 0x3f);
    } else if (c < 0x10000) {
        *p++ = 0xe0 | c >> 12;
        *p++ = 0x80 | (c >> 6 & 0x3f);
        *p++ = 0x80 | (c & 0x3f);
    } else {
        *p++ = 0xf0 | c >> 18;
        *p++ = 0x80 | (c >> 12 & 0x3f);
        *p++ = 0x80 | (c >> 6 & 0x3f);
        *p++ = 0x80 | (c & 0x3f);
    }
    return p;
}

enum { ESCAPED_MAX = 6, CHUNK = 4096 };
static const uint64_t HIGH_BITS = 0x8080808080808080;

bool json_js_string(JSContext *ctx, Buffer *out, JSValueConst string, uint32_t units_max)
{
    StringView view;
    if (!engine_view_string(ctx, string, &view))
        return false;
    uint32_t length = view.length < units_max ? view.length : units_max;
    buffer_byte(out, '"');
    for (uint32_t i = 0; i < length;) {
        uint32_t end = length - i > CHUNK ? i + CHUNK : length;
        if (!buffer_reserve(out, (end - i + 1) * ESCAPED_MAX))
            break;
        uint8_t *p = out->bytes + out->length;
        if (view.narrow) {
            while (end - i >= 8) {
                uint64_t eight;
                memcpy(&eight, view.narrow + i, 8);
                if (text_special(eight) | (eight & HIGH_BITS))
                    break;
                memcpy(p, &eight, 8);
                p += 8;
                i += 8;
            }
            for (; i < end; i++) {
                uint8_t c = view.narrow[i];
                if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
                    *p++ = c;
                else
                    p = put_unit(p, c);
            }
        } else {
            for (; i < end; i++) {
                uint32_t c = view.wide[i];
                if (c >= 0xd800 && c < 0xe000) {
                    uint32_t low = c < 0xdc00 && i + 1 < view.length ? view.wide[i + 1] : 0;
                    if (low >= 0xdc00 && low < 0xe000) {
                        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                        i++;
                    } else {
                        c = 0xfffd;
                    }
                }
                p = put_unit(p, c);
            }
        }
        out->length = p - out->bytes;
    }
    buffer_byte(out, '"');
    JS_FreeValue(ctx, view.keep);
    return !out->failed;
}

void json_string(Buffer *out, const char *utf8, size_t length)
{
    const uint8_t *s = (const uint8_t *)utf8, *end = s + length;
    buffer_byte(out, '"');
    while (s < end && buffer_reserve(out, ESCAPED_MAX)) {
        uint32_t c = *s++;
        int more = c < 0x80                ? 0
                   : c >= 0xc2 && c < 0xe0 ? 1
                   : c >= 0xe0 && c < 0xf0 ? 2
                   : c >= 0xf0 && c < 0xf5 ? 3
                                           : -1;
        static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
        if (more > 0) {
            int seen = 0;
            c &= 0x3f >> more;
            for (; seen < more && s < end && (*s & 0xc0) == 0x80; seen++)
                c = c << 6 | (*s++ & 0x3f);
            if (seen < more || c < smallest[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                c = 0xfffd;
        } else if (more < 0) {
            c = 0xfffd;
        }
        out->length = put_unit(out->bytes + out->length, c) - out->bytes;
    }
    buffer_byte(out, '"');
}
