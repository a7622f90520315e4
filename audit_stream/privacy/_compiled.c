/* The four hot primitives of sealing in C over OpenSSL's libcrypto: the same functions, with the
 * same answers, as `primitives.py`, which is used where this module was not built. No cryptography
 * of our own: hashing is EVP_Digest*, encryption EVP_aes_256_gcm; HMAC is RFC 2104 over the former.
 *
 * All calls hold the interpreter lock (the contexts below are shared) and take some microseconds.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define KEY 32
#define NONCE 12
#define GCM_TAG 16
#define BLOCK 64      /* personal values are padded to a multiple of this */
#define DIGEST_TEXT 43 /* base64url of 32 bytes */

static EVP_MD *sha256_md, *sha512_md;
static EVP_CIPHER *aes_gcm;
static EVP_MD_CTX *digest_ctx;
static EVP_CIPHER_CTX *cipher_ctx;

static const char SALT_LABEL[] = "as/salt/v1"; /* with its final zero byte: 11 bytes */
static const char FIELD_ONE[] = "\",\"customer_external_id\",";
static const char FIELD_TWO[] = "\",\"recipient_address\",";

static PyObject *failed(void) {
    PyErr_SetString(PyExc_RuntimeError, "OpenSSL refused a primitive");
    return NULL;
}

static int hash2(const EVP_MD *md, const void *a, size_t a_len, const void *b, size_t b_len,
                 unsigned char *out) {
    return EVP_DigestInit_ex2(digest_ctx, md, NULL) && EVP_DigestUpdate(digest_ctx, a, a_len) &&
           EVP_DigestUpdate(digest_ctx, b, b_len) && EVP_DigestFinal_ex(digest_ctx, out, NULL);
}

/* RFC 2104 with a key of 32 bytes; `block` is the hash's block size, at most 128. */
static int hmac(const EVP_MD *md, size_t block, size_t size, const unsigned char *key,
                const void *data, size_t data_len, unsigned char *out) {
    unsigned char pad[128], inner[64];
    int good;
    memset(pad, 0x36, block);
    for (int i = 0; i < KEY; i++) pad[i] ^= key[i];
    good = hash2(md, pad, block, data, data_len, inner);
    for (size_t i = 0; i < block; i++) pad[i] ^= 0x36 ^ 0x5c;
    good = good && hash2(md, pad, block, inner, size, out);
    OPENSSL_cleanse(pad, sizeof pad);
    OPENSSL_cleanse(inner, sizeof inner);
    return good;
}

static Py_ssize_t b64url(const unsigned char *in, Py_ssize_t len, char *out) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *at = out;
    Py_ssize_t i;
    for (i = 0; i + 2 < len; i += 3) {
        *at++ = set[in[i] >> 2];
        *at++ = set[(in[i] & 3) << 4 | in[i + 1] >> 4];
        *at++ = set[(in[i + 1] & 15) << 2 | in[i + 2] >> 6];
        *at++ = set[in[i + 2] & 63];
    }
    if (len - i == 1) {
        *at++ = set[in[i] >> 2];
        *at++ = set[(in[i] & 3) << 4];
    } else if (len - i == 2) {
        *at++ = set[in[i] >> 2];
        *at++ = set[(in[i] & 3) << 4 | in[i + 1] >> 4];
        *at++ = set[(in[i + 1] & 15) << 2];
    }
    return at - out;
}

static int sized(Py_ssize_t got, Py_ssize_t want, const char *name) {
    if (got == want) return 1;
    PyErr_Format(PyExc_ValueError, "%s must have %zd bytes, not %zd", name, want, got);
    return 0;
}

static PyObject *walk(PyObject *self, PyObject *args) {
    const char *node;
    Py_ssize_t node_len;
    unsigned long long path;
    int depth, bottom;
    unsigned char message[44];
    if (!PyArg_ParseTuple(args, "y#Kii", &node, &node_len, &path, &depth, &bottom)) return NULL;
    if (!sized(node_len, KEY, "node")) return NULL;
    if (depth < 0 || bottom > 28 || depth > bottom) {
        PyErr_SetString(PyExc_ValueError, "depths must be 0 <= depth <= bottom <= 28");
        return NULL;
    }
    memcpy(message, "\x00\x00\x00\x01", 4);
    memcpy(message + 4, node, KEY);
    memcpy(message + 37, "as-ggm1", 7);
    for (; depth < bottom; depth++) {
        message[36] = (path >> (2 * (27 - depth))) & 3;
        if (!hash2(sha256_md, message, sizeof message, "", 0, message + 4)) return failed();
    }
    PyObject *out = PyBytes_FromStringAndSize((char *)message + 4, KEY);
    OPENSSL_cleanse(message, sizeof message);
    return out;
}

static PyObject *hmac_sha512(PyObject *self, PyObject *args) {
    const char *key, *data;
    Py_ssize_t key_len, data_len;
    unsigned char mac[64];
    if (!PyArg_ParseTuple(args, "y#y#", &key, &key_len, &data, &data_len)) return NULL;
    if (!sized(key_len, KEY, "key")) return NULL;
    if (!hmac(sha512_md, 128, 64, (const unsigned char *)key, data, data_len, mac)) return failed();
    PyObject *out = PyBytes_FromStringAndSize((char *)mac, sizeof mac);
    OPENSSL_cleanse(mac, sizeof mac);
    return out;
}

/* The digest of one disclosure: b64url(sha256(b64url(["salt","field",value]))). */
static PyObject *disclosure_digest(const unsigned char *salt, const char *field, const char *value,
                                   Py_ssize_t value_len) {
    static const char hex[] = "0123456789abcdef";
    Py_ssize_t field_len = strlen(field), len = 2 + 32 + field_len + value_len + 1;
    unsigned char hashed[32];
    char text[DIGEST_TEXT];
    PyObject *out = NULL;
    char *json = PyMem_Malloc(len + (len + 2) / 3 * 4);
    if (json == NULL) return PyErr_NoMemory();
    char *at = json, *encoded = json + len;
    *at++ = '[';
    *at++ = '"';
    for (int i = 0; i < 16; i++) {
        *at++ = hex[salt[i] >> 4];
        *at++ = hex[salt[i] & 15];
    }
    memcpy(at, field, field_len);
    memcpy(at + field_len, value, value_len);
    at[field_len + value_len] = ']';
    Py_ssize_t encoded_len = b64url((unsigned char *)json, len, encoded);
    if (hash2(sha256_md, encoded, encoded_len, "", 0, hashed)) {
        b64url(hashed, sizeof hashed, text);
        out = PyUnicode_DecodeASCII(text, sizeof text, NULL);
    } else {
        failed();
    }
    OPENSSL_cleanse(json, len);
    PyMem_Free(json);
    return out;
}

static PyObject *disclose(PyObject *self, PyObject *args) {
    const char *mac_key, *one, *two;
    Py_ssize_t key_len, one_len, two_len;
    unsigned long partition;
    unsigned long long offset;
    unsigned char place[11 + 4 + 8], salts[32];
    if (!PyArg_ParseTuple(args, "y#kKy#y#", &mac_key, &key_len, &partition, &offset, &one, &one_len,
                          &two, &two_len))
        return NULL;
    if (!sized(key_len, KEY, "mac key")) return NULL;
    memcpy(place, SALT_LABEL, 11);
    for (int i = 0; i < 4; i++) place[11 + i] = (unsigned char)(partition >> (8 * (3 - i)));
    for (int i = 0; i < 8; i++) place[15 + i] = (unsigned char)(offset >> (8 * (7 - i)));
    if (!hmac(sha256_md, 64, 32, (const unsigned char *)mac_key, place, sizeof place, salts))
        return failed();
    PyObject *first = disclosure_digest(salts, FIELD_ONE, one, one_len);
    PyObject *second = first ? disclosure_digest(salts + 16, FIELD_TWO, two, two_len) : NULL;
    OPENSSL_cleanse(salts, sizeof salts);
    if (second == NULL) {
        Py_XDECREF(first);
        return NULL;
    }
    return Py_BuildValue("(NN)", first, second);
}

static PyObject *encrypt(PyObject *self, PyObject *args) {
    const char *key, *integrity, *plain;
    Py_ssize_t key_len, integrity_len, plain_len;
    int written, last;
    if (!PyArg_ParseTuple(args, "y#y#y#", &key, &key_len, &integrity, &integrity_len, &plain,
                          &plain_len))
        return NULL;
    if (!sized(key_len, KEY, "key") || !sized(integrity_len, 32, "integrity hash")) return NULL;
    if (plain_len > 1 << 30) {
        PyErr_SetString(PyExc_ValueError, "plaintext is too long");
        return NULL;
    }
    Py_ssize_t padded = plain_len / BLOCK * BLOCK + BLOCK; /* one 0x80 always fits */
    Py_ssize_t sealed = padded + GCM_TAG, room = (sealed + 2) / 3 * 4;
    unsigned char *buffer = PyMem_Malloc(padded + sealed + room);
    if (buffer == NULL) return PyErr_NoMemory();
    unsigned char *box = buffer + padded;
    char *text = (char *)box + sealed;
    memcpy(buffer, plain, plain_len);
    buffer[plain_len] = 0x80;
    memset(buffer + plain_len + 1, 0, padded - plain_len - 1);
    int good =
        EVP_EncryptInit_ex2(cipher_ctx, aes_gcm, (const unsigned char *)key,
                            (const unsigned char *)integrity, NULL) &&
        EVP_EncryptUpdate(cipher_ctx, NULL, &written, (const unsigned char *)integrity, 32) &&
        EVP_EncryptUpdate(cipher_ctx, box, &written, buffer, (int)padded) &&
        EVP_EncryptFinal_ex(cipher_ctx, box + written, &last) &&
        EVP_CIPHER_CTX_ctrl(cipher_ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, box + padded);
    PyObject *out = good ? PyBytes_FromStringAndSize(text, b64url(box, sealed, text)) : failed();
    OPENSSL_cleanse(buffer, padded);
    PyMem_Free(buffer);
    return out;
}

static PyMethodDef methods[] = {
    {"walk", walk, METH_VARARGS, "walk(node, path, depth, bottom) -> node"},
    {"hmac_sha512", hmac_sha512, METH_VARARGS, "hmac_sha512(key, data) -> 64 bytes"},
    {"disclose", disclose, METH_VARARGS, "disclose(mac_key, partition, offset, one, two)"},
    {"encrypt", encrypt, METH_VARARGS, "encrypt(key, integrity, plaintext) -> base64url"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_compiled", "Sealing's primitives over libcrypto.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__compiled(void) {
    sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    sha512_md = EVP_MD_fetch(NULL, "SHA512", NULL);
    aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    digest_ctx = EVP_MD_CTX_new();
    cipher_ctx = EVP_CIPHER_CTX_new();
    if (!sha256_md || !sha512_md || !aes_gcm || !digest_ctx || !cipher_ctx) {
        PyErr_SetString(PyExc_ImportError, "libcrypto lacks SHA-256, SHA-512 or AES-256-GCM");
        return NULL;
    }
    return PyModule_Create(&module);
}
