/* Text to bytes and back for TextEncoder and TextDecoder: a loop in JavaScript is fifty times slower. */
#include "guest.h"

/* encodeUtf8(string) -> Uint8Array; the caller has made the string well-formed */
static JSValue encode_utf8(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    size_t length;
    const char *text = JS_ToCStringLen(ctx, &length, argv[0]);
    if (!text)
        return JS_EXCEPTION;
    JSValue bytes = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)text, length);
    JS_FreeCString(ctx, text);
    return bytes;
}

/* Decodes as the WHATWG Encoding standard says: one U+FFFD for each maximal ill-formed part. Returns units written;
   *bad is set when there was one; *rest is how many bytes at the end begin a sequence that is not finished. */
static size_t decode_utf8(const uint8_t *s, size_t length, uint16_t *units, bool *bad, size_t *rest)
{
    size_t count = 0, i = 0;
    *rest = 0;
    while (i < length) {
        uint8_t c = s[i], lower = 0x80, upper = 0xbf;
        if (c < 0x80) {
            units[count++] = c;
            i++;
            continue;
        }
        int more = c >= 0xc2 && c <= 0xdf ? 1 : c >= 0xe0 && c <= 0xef ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : 0;
        if (c == 0xe0)
            lower = 0xa0; /* overlong */
        if (c == 0xed)
            upper = 0x9f; /* surrogates */
        if (c == 0xf0)
            lower = 0x90;
        if (c == 0xf4)
            upper = 0x8f; /* beyond U+10FFFF */
        uint32_t point = more == 1 ? c & 0x1f : more == 2 ? c & 0x0f : c & 0x07;
        size_t start = i++;
        int seen = 0;
        while (seen < more && i < length && s[i] >= lower && s[i] <= upper) {
            point = point << 6 | (s[i++] & 0x3f);
            lower = 0x80;
            upper = 0xbf;
            seen++;
        }
        if (more && seen == more) {
            if (point >= 0x10000) {
                units[count++] = 0xd800 + ((point - 0x10000) >> 10);
                units[count++] = 0xdc00 + ((point - 0x10000) & 0x3ff);
            } else {
                units[count++] = point;
            }
        } else {
            if (more && i == length)
                *rest = i - start;
            *bad = true;
            units[count++] = 0xfffd;
        }
    }
    return count;
}

/* decode(Uint8Array, encoding, isFatal) -> [string, rest]: `rest` as above, for streams. Encodings: "utf-8",
   "utf-16le", "latin1". */
static JSValue decode(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    size_t length, rest = 0, count = 0;
    const uint8_t *bytes = JS_GetUint8Array(ctx, &length, argv[0]);
    const char *encoding = JS_ToCString(ctx, argv[1]);
    bool bad = false;
    if (!encoding)
        return JS_EXCEPTION;
    uint16_t *units = js_malloc(ctx, (length + 1) * sizeof(*units));
    if (!units) {
        JS_FreeCString(ctx, encoding);
        return JS_EXCEPTION;
    }
    if (!strcmp(encoding, "utf-8")) {
        count = decode_utf8(bytes, length, units, &bad, &rest);
    } else if (!strcmp(encoding, "utf-16le")) {
        for (; count < length / 2; count++)
            units[count] = bytes[2 * count] | bytes[2 * count + 1] << 8;
        if (length % 2) {
            rest = 1;
            bad = true;
            units[count++] = 0xfffd;
        }
    } else {
        for (; count < length; count++)
            units[count] = bytes[count];
    }
    JS_FreeCString(ctx, encoding);
    JSValue result = JS_UNDEFINED;
    if (bad && JS_ToBool(ctx, argv[2])) {
        result = JS_ThrowTypeError(ctx, "the encoded data is not valid");
    } else {
        JSValue items[] = {JS_NewStringUTF16(ctx, units, count), JS_NewInt64(ctx, rest)};
        result = JS_NewArrayFrom(ctx, 2, items);
    }
    js_free(ctx, units);
    return result;
}

static JSValue random_fill(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    size_t length;
    uint8_t *bytes = JS_GetUint8Array(ctx, &length, argv[0]);
    if (bytes)
        random_bytes(bytes, length);
    return JS_UNDEFINED;
}

static JSValue random_number(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    return JS_NewFloat64(ctx, random_unit());
}

void text_natives(JSContext *ctx, JSValueConst natives)
{
    JS_SetPropertyStr(ctx, natives, "encodeUtf8", JS_NewCFunction(ctx, encode_utf8, "encodeUtf8", 1));
    JS_SetPropertyStr(ctx, natives, "decode", JS_NewCFunction(ctx, decode, "decode", 3));
    JS_SetPropertyStr(ctx, natives, "randomFill", JS_NewCFunction(ctx, random_fill, "randomFill", 1));
    JS_SetPropertyStr(ctx, natives, "random", JS_NewCFunction(ctx, random_number, "random", 0));
}
