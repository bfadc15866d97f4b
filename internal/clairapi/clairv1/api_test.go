package clairv1_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/clairapi/clairv1"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/egress"
	"github.com/pratique/pratique/internal/layer"
	"github.com/pratique/pratique/test/clair/clairtest"
	"github.com/pratique/pratique/test/sample"
)

func alpine(t testing.TB) sample.Layer {
	return clairtest.Must(t)(sample.AlpineBase("3.7.3", sample.AlpinePackage{Name: "musl", Version: "1.1.18-r3", Origin: "musl"}))
}

func wantJSON(t *testing.T, response *http.Response) {
	t.Helper()
	if got := response.Header.Get("Content-Type"); got != "application/json;charset=utf-8" {
		t.Errorf("content type is %q", got)
	}
	if got := response.Header.Get("Server"); got != "clair" {
		t.Errorf("server is %q", got)
	}
}

func TestGzip(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	if status, body := server.Post(t, clairtest.Layer{Name: "a", Path: blobs.Add(alpine(t))}); status != http.StatusCreated {
		t.Fatalf("%d: %s", status, body)
	}
	_, plain := server.Call(t, http.MethodGet, "/v1/layers/a?features", "", "Accept-Encoding", "identity")
	for accept, zipped := range map[string]bool{"gzip": true, "deflate, gzip;q=0.5": true, "identity": false, "deflate": false} {
		response, body := server.Call(t, http.MethodGet, "/v1/layers/a?features", "", "Accept-Encoding", accept)
		wantJSON(t, response)
		if got := response.Header.Get("Content-Encoding") == "gzip"; got != zipped {
			t.Errorf("%q: gzip is %v", accept, got)
		}
		if zipped {
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			body = string(content)
		}
		if body != plain {
			t.Errorf("%q: got %q, want %q", accept, body, plain)
		}
	}
	response, body := server.Call(t, http.MethodGet, "/v1/layers/nobody", "", "Accept-Encoding", "gzip")
	if response.StatusCode != http.StatusNotFound || response.Header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(body, "\x1f\x8b") {
		t.Errorf("an error: got %d %v %q", response.StatusCode, response.Header, body)
	}
}

func TestRequestBodies(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	request := fmt.Sprintf(`{"Layer":{"Name":"a","Path":%q,"Format":"Docker"}}`, blobs.Add(alpine(t)))
	const mebibyte = 1 << 20
	for _, test := range []struct {
		name, body string
		status     int
		message    string
	}{
		{"plain", request, 201, ""},
		{"byte order mark", "\xef\xbb\xbf" + request, 201, ""},
		{"something after the object", request + "\n{}garbage", 201, ""},
		{"unknown members", strings.Replace(request, `{"Layer":{`, `{"Other":[1,{}],"Layer":{"Features":[{"Name":5}],"Extra":null,`, 1), 201, ""},
		{"members in lower case", strings.ToLower(request[:14]) + request[14:], 201, ""},
		{"null for headers", strings.Replace(request, `"Format"`, `"Headers":null,"Format"`, 1), 201, ""},
		{"1 MiB", request + strings.Repeat(" ", mebibyte-len(request)), 201, ""},
		{"1 MiB and a byte", request + strings.Repeat(" ", mebibyte-len(request)+1), 400, "the request body is longer than 1048576 bytes"},
		{"2 MB", `{"Layer":{"Name":"` + strings.Repeat("a", 2_000_000) + `"}}`, 400, "the request body is longer than 1048576 bytes"},
		{"two byte order marks", "\xef\xbb\xbf\xef\xbb\xbf" + request, 400, "the request body is no valid JSON at byte 1"},
		{"deep", strings.Repeat("[", 100_000), 400, "the request body"},
		{"deep in an unknown member", `{"x":` + strings.Repeat("[", 100_000), 400, "the request body is no valid JSON"},
		{"a string", `"Layer"`, 400, "the request body is a JSON string, not an object"},
		{"a list for headers", strings.Replace(request, `"Format"`, `"Headers":["a"],"Format"`, 1), 400, "the request body has a JSON array where Layer.Headers is"},
		{"long name", strings.Replace(request, `"a"`, `"`+strings.Repeat("a", 1001)+`"`, 1), 400, "worker: name is empty, too long, or holds control characters"},
		{"long path", strings.Replace(request, `http://`, `http://`+strings.Repeat("a", 9000)+".", 1), 201, ""}, // the name is known
		{"cut", request[:len(request)-3], 400, "the request body is no valid JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, body := server.Call(t, http.MethodPost, "/v1/layers", test.body)
			wantJSON(t, response)
			var got struct{ Error struct{ Message string } }
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if response.StatusCode != test.status || !strings.HasPrefix(got.Error.Message, test.message) || (test.message == "") != (got.Error.Message == "") {
				t.Errorf("got %d %q, want %d %q", response.StatusCode, got.Error.Message, test.status, test.message)
			}
		})
	}
}

func TestLayersThatCannotBeHad(t *testing.T) {
	server := clairtest.Start(t, clairtest.Options{
		Egress: egress.Options{HeaderTimeout: 200 * time.Millisecond, MaxSize: 100_000},
		Limits: layer.Options{Bytes: 1 << 20, RatioFrom: 1 << 20, Ratio: 10},
	})
	blobs, must := clairtest.NewBlobs(t), clairtest.Must(t)
	content := alpine(t).Content
	zeros := must(sample.NewLayer("", sample.File{Path: "etc/os-release", Content: strings.Repeat("\x00", 2<<20)}))
	for _, test := range []struct {
		name, url       string
		status          int
		message, detail string
	}{
		{"not found", blobs.URL + "/404", 400, "could not find layer", blobs.URL + "/404: status 404"},
		{"unauthorized", blobs.Handle("/401", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }), 400, "could not find layer", "status 401"},
		{"never answers", blobs.Handle("/never", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), 400, "could not find layer", "/never: timed out"},
		{"redirect to link-local", blobs.Handle("/redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		}), 400, "could not find layer", "169.254.169.254 is a link-local address"},
		{"redirect to a file", blobs.Handle("/file", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		}), 400, "could not find layer", "only http and https"},
		{"cut gzip", blobs.Serve("/cut", content[:len(content)/2]), 422, "tarutil: could not extract the archive", "gzip"},
		{"no archive", blobs.Serve("/html", []byte("<html>please log in</html>")), 422, "tarutil: could not extract the archive", "corrupt"},
		{"bomb", blobs.Serve("/bomb", zeros.Content), 422, "tarutil: could not extract one or more files from the archive: file too big", "limit exceeded"},
		{"too large to download", blobs.Serve("/large", make([]byte, 200_000)), 400, "could not find layer", "too large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := server.Post(t, clairtest.Layer{Name: "a", Path: test.url})
			var got struct {
				Error struct{ Message, Detail string }
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if status != test.status || got.Error.Message != test.message || !strings.Contains(got.Error.Detail, test.detail) {
				t.Errorf("got %d %+v, want %d %q %q", status, got.Error, test.status, test.message, test.detail)
			}
			if response, _ := server.Call(t, http.MethodGet, "/v1/layers/a", ""); response.StatusCode != http.StatusNotFound {
				t.Errorf("the layer is there: %d", response.StatusCode)
			}
		})
	}
	if status, body := server.Post(t, clairtest.Layer{Name: "a", Path: blobs.Add(alpine(t))}); status != http.StatusCreated {
		t.Errorf("afterwards: %d %s", status, body)
	}
}

// A layer that takes long is answered with 503 in time; the client that sends
// it again finds it done.
func TestTimeout(t *testing.T) {
	server := clairtest.Start(t, clairtest.Options{V1: clairv1.Options{Timeout: 200 * time.Millisecond}})
	blobs, open := clairtest.NewBlobs(t), make(chan struct{})
	content := alpine(t).Content
	url := blobs.Handle("/slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-open:
			_, _ = w.Write(content)
		case <-r.Context().Done():
		}
	})
	status, body := server.Post(t, clairtest.Layer{Name: "a", Path: url})
	want := `{"Error":{"Message":"Clair failed to respond within the configured timeout window.","Type":"Timeout"}}`
	if status != http.StatusServiceUnavailable || strings.TrimSpace(body) != want {
		t.Errorf("got %d %s", status, body)
	}
	close(open)
	for {
		if status, body = server.Post(t, clairtest.Layer{Name: "a", Path: url}); status != http.StatusServiceUnavailable {
			break
		}
	}
	if status != http.StatusCreated {
		t.Errorf("again: got %d %s", status, body)
	}
	if n := len(blobs.Requests("/slow")); n != 1 {
		t.Errorf("%d downloads", n)
	}
}

func TestBusy(t *testing.T) {
	server := clairtest.Start(t, clairtest.Options{
		Indexing: indexing.Options{Downloads: 1, Queue: -1}, V1: clairv1.Options{Timeout: 300 * time.Millisecond},
	})
	blobs := clairtest.NewBlobs(t)
	url := blobs.Handle("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if status, _ := server.Post(t, clairtest.Layer{Name: "a", Path: url}); status != http.StatusServiceUnavailable {
		t.Fatalf("got %d", status)
	}
	response, body := server.Call(t, http.MethodPost, "/v1/layers", fmt.Sprintf(`{"Layer":{"Name":"b","Path":%q,"Format":"Docker"}}`, url))
	wantJSON(t, response)
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || !strings.Contains(body, "too many layers are being indexed") {
		t.Errorf("got %d %v %s", response.StatusCode, response.Header, body)
	}
}

func TestPages(t *testing.T) {
	server := clairtest.Start(t, clairtest.Options{})
	var all []string
	for i := range 7 {
		name := fmt.Sprintf("CVE-2024-000%d", i)
		all = append(all, name)
		server.Advise(t, clairtest.Affected(name, "debian:12", "zlib", "", advisory.Low))
	}
	for _, limit := range []int{1, 3, 7, 100} {
		var got []string
		page, calls := "", 0
		for {
			_, body := server.Call(t, http.MethodGet, fmt.Sprintf("/v1/namespaces/debian:12/vulnerabilities?limit=%d&page=%s", limit, page), "")
			var list struct {
				Vulnerabilities []struct{ Name string }
				NextPage        string
			}
			if err := json.Unmarshal([]byte(body), &list); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			for _, v := range list.Vulnerabilities {
				got = append(got, v.Name)
			}
			if calls++; list.NextPage == "" || calls > 10 {
				break
			}
			page = list.NextPage
		}
		if strings.Join(got, " ") != strings.Join(all, " ") || calls != (6+limit)/limit {
			t.Errorf("limit %d: %d calls gave %v", limit, calls, got)
		}
	}
	_, body := server.Call(t, http.MethodGet, "/v1/namespaces/debian:12/vulnerabilities?limit=1", "")
	var first struct{ NextPage string }
	if err := json.Unmarshal([]byte(body), &first); err != nil {
		t.Fatal(err)
	}
	if response, body := server.Call(t, http.MethodGet, "/v1/namespaces/debian:11/vulnerabilities?limit=1&page="+first.NextPage, ""); response.StatusCode != http.StatusBadRequest {
		t.Errorf("the page of another namespace: got %d %s", response.StatusCode, body)
	}
}

func TestMetrics(t *testing.T) {
	server := clairtest.Start(t, clairtest.Options{})
	server.Call(t, http.MethodGet, "/v1/layers/nobody", "")
	response, body := server.Call(t, http.MethodGet, "/v1/metrics", "")
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain") ||
		!strings.Contains(body, `clair_api_response_duration_milliseconds_count{code="404",route="/v1/layers/{layer}"} 1`) {
		t.Errorf("got %d %v %s", response.StatusCode, response.Header, body)
	}
}

func TestStoreIsGone(t *testing.T) {
	server := clairtest.Start(t, clairtest.Options{})
	if err := server.Store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/namespaces", "/v1/layers/a", "/v1/namespaces/debian:12/vulnerabilities?limit=1"} {
		response, body := server.Call(t, http.MethodGet, path, "")
		wantJSON(t, response)
		if response.StatusCode != http.StatusInternalServerError || strings.Contains(body, "sql") || !strings.Contains(body, `"Message"`) {
			t.Errorf("%s: got %d %s", path, response.StatusCode, body)
		}
	}
}

// hanging is an Indexing that looks at no context, as a disk does that is gone.
type hanging chan struct{}

func (h hanging) Index(context.Context, indexing.Request) error {
	<-h
	return nil
}

// Whatever hangs, there is an answer in time: ProGet abandons its whole run
// without one, after 100 s.
func TestAnswerWhateverHangs(t *testing.T) {
	h := make(hanging)
	defer close(h)
	server := httptest.NewServer(clairv1.New(h, nil, clairv1.Options{Timeout: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}))
	defer server.Close()
	response, err := http.Post(server.URL+"/v1/layers", "application/json", strings.NewReader(`{"Layer":{"Name":"a","Path":"http://127.0.0.1/","Format":"Docker"}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	wantJSON(t, response)
	if content, err := io.ReadAll(response.Body); response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(content), `"Type":"Timeout"`) {
		t.Errorf("got %s %s, %v", response.Status, content, err)
	}
}

// A client that sends half a body is let go of.
func TestStalledBody(t *testing.T) {
	server := clairtest.Start(t, clairtest.Options{V1: clairv1.Options{Timeout: 200 * time.Millisecond}})
	read, write := io.Pipe()
	defer write.Close()
	go func() { _, _ = io.WriteString(write, `{"Layer":`) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/layers", read)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d", response.StatusCode)
	}
}
