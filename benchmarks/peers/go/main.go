// A reverse proxy that does the least that signer does: verifies the virtual signature, signs with the real key,
// forwards, and chains an audit line. No policy, no caps, no durable records.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
)

func secret(name string) []byte {
	raw, err := base64.StdEncoding.DecodeString(os.Getenv(name))
	if err != nil {
		log.Fatal(err)
	}
	return raw
}

func sign(key []byte, path, nonce string, body []byte) []byte {
	inner := sha256.New()
	io.WriteString(inner, nonce)
	inner.Write(body)
	outer := hmac.New(sha512.New, key)
	io.WriteString(outer, path)
	outer.Write(inner.Sum(nil))
	return outer.Sum(nil)
}

type audit struct {
	sync.Mutex
	file *os.File
	prev string
}

func (a *audit) write(entry map[string]any) {
	a.Lock()
	defer a.Unlock()
	entry["prev"] = a.prev
	line, _ := json.Marshal(entry)
	digest := sha256.Sum256(line)
	a.prev = hex.EncodeToString(digest[:])
	a.file.Write(append(line, '\n'))
}

type nonces struct {
	sync.Mutex
	last int64
}

func (n *nonces) next() string {
	n.Lock()
	defer n.Unlock()
	n.last = max(n.last+1, time.Now().UnixMicro())
	return strconv.FormatInt(n.last, 10)
}

func main() {
	clientKey, clientSecret := os.Getenv("CLIENT_KEY"), secret("CLIENT_SECRET")
	realKey, realSecret := os.Getenv("REAL_KEY"), secret("REAL_SECRET")
	origin, err := url.Parse(os.Getenv("ORIGIN"))
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.OpenFile(os.Getenv("AUDIT"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	records, counter := &audit{file: file}, &nonces{}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(origin) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
		form, formErr := url.ParseQuery(string(body))
		given, signErr := base64.StdEncoding.DecodeString(r.Header.Get("API-Sign"))
		if err != nil || formErr != nil || signErr != nil || r.Header.Get("API-Key") != clientKey ||
			!hmac.Equal(given, sign(clientSecret, r.URL.Path, form.Get("nonce"), body)) {
			w.Write([]byte(`{"error":["EAPI:Invalid signature"]}`))
			return
		}
		started, nonce := time.Now(), counter.next()
		form.Set("nonce", nonce)
		out := []byte(form.Encode())
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(out)), int64(len(out))
		r.Header.Set("Content-Length", strconv.Itoa(len(out)))
		r.Header.Set("API-Key", realKey)
		r.Header.Set("API-Sign", base64.StdEncoding.EncodeToString(sign(realSecret, r.URL.Path, nonce, out)))
		proxy.ServeHTTP(w, r)
		records.write(map[string]any{"time": started.UnixMicro(), "client": "bench", "path": r.URL.Path,
			"fields": form, "took_us": time.Since(started).Microseconds()})
	}
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), http.HandlerFunc(handler)))
}
