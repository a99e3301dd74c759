package rawtcp_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// nginx serves the file "big" at http port 80 and https port 443, until the
// test ends. The pool trusts its certificate.
func nginx(t *testing.T, at *lab.Host, content []byte) *x509.CertPool {
	t.Helper()
	labtest.NeedPrograms(t, "nginx")
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{at.IPv4.AsSlice(), at.IPv6.AsSlice()},
	}
	cert, err := x509.CreateCertificate(crand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	file("big", content)
	config := file("nginx.conf", fmt.Appendf(nil, `
		daemon off; master_process off; user root; pid %[1]s/pid; error_log stderr;
		events {}
		http {
			access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p;
			fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
			ssl_certificate %[2]s; ssl_certificate_key %[3]s;
			server { listen 80; listen [::]:80; listen 443 ssl http2; listen [::]:443 ssl http2; root %[1]s; }
		}`, dir, file("cert.pem", certPEM), file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))))
	cmd := at.Command("nginx", "-p", dir, "-c", config)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		<-ended
	})
	for {
		if c, err := kernelDial(at, netip.AddrPortFrom(at.IPv4, 443).String()); err == nil {
			c.Close()
			break
		}
		select {
		case <-ended:
			t.Fatalf("nginx: %s", said.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}

// TestHTTPClient is Go's client over our connections, against nginx.
func TestHTTPClient(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	want := randomBytes(3 * mebi)
	pool := nginx(t, pair.B, want)
	audit := newAudit(t, pair.A, pair.B.IPv4, pair.B.IPv6)
	d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A)), Tap: audit.Tap}
	for _, tt := range []struct {
		name, url, proto string
		http2            bool
	}{
		{"plain", "http://" + pair.B.IPv4.String(), "HTTP/1.1", false},
		{"plain over IPv6", "http://[" + pair.B.IPv6.String() + "]", "HTTP/1.1", false},
		{"TLS", "https://" + pair.B.IPv4.String(), "HTTP/1.1", false},
		{"HTTP/2", "https://" + pair.B.IPv4.String(), "HTTP/2.0", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := &http.Transport{DialContext: d.DialContext, TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: tt.http2}
			defer tr.CloseIdleConnections()
			client := http.Client{Transport: tr}
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 2 {
						resp, err := client.Get(tt.url + "/big")
						if err != nil {
							t.Error(err)
							return
						}
						got, err := io.ReadAll(resp.Body)
						resp.Body.Close()
						if !bytes.Equal(got, want) || err != nil || resp.Proto != tt.proto {
							t.Errorf("got %s %s with %d octets of %d, %v", resp.Proto, resp.Status, len(got), len(want), err)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// TestHTTPServer is Go's server over our listener, against curl.
func TestHTTPServer(t *testing.T) {
	labtest.NeedPrograms(t, "curl")
	t.Parallel()
	pair := labtest.NewPair(t)
	audit := newAudit(t, pair.A, pair.B.IPv4, pair.B.IPv6)
	lc := rawtcp.ListenConfig{Host: newHost(t, rawLink(t, pair.A)), Tap: audit.Tap}
	l, err := lc.Listen(t.Context(), "tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{n}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", r.PathValue("n"))
	})
	mux.HandleFunc("POST /sum", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%x", sum.Sum(nil))
	})
	server := http.Server{Handler: mux}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })

	data := randomBytes(5 * mebi)
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{pair.A.IPv4.String(), "[" + pair.A.IPv6.String() + "]"} {
		out, err := pair.B.Run("curl", "--silent", "--show-error", "--data-binary", "@"+upload, "http://"+host+"/sum")
		if want := fmt.Sprintf("%x", sha256.Sum256(data)); out != want || err != nil {
			t.Errorf("curl sent 5 MiB: got %q, %v, want %s", out, err, want)
		}
		// Five hundred connections, fifty at a time.
		dir := t.TempDir()
		out, err = pair.B.Run("curl", "--silent", "--show-error", "--fail", "--parallel", "--parallel-immediate", "--parallel-max", "50",
			"--header", "Connection: close", "--output", dir+"/#1", "http://"+host+"/hello/[1-500]")
		if err != nil {
			t.Errorf("%s %v", out, err)
		}
		for n := 1; n <= 500; n++ {
			want := fmt.Sprintf("hello %d", n)
			if got, err := os.ReadFile(fmt.Sprintf("%s/%d", dir, n)); string(got) != want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
	}
}
