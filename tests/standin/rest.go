package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// Rest is the REST API: /v2/vectordb always, /v1/vector if enabled.
func (s *proxy) rest() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/vectordb/{group}/{action}", func(w http.ResponseWriter, r *http.Request) {
		s.restCall(w, r, r.PathValue("group")+"/"+r.PathValue("action"))
	})
	if s.v1 {
		mux.HandleFunc("GET /v1/vector/collections", func(w http.ResponseWriter, r *http.Request) {
			answer(w, http.StatusOK, map[string]any{"code": 200, "data": []string{}})
		})
		mux.HandleFunc("POST /v1/vector/{action}", func(w http.ResponseWriter, r *http.Request) {
			s.restCall(w, r, "entities/"+r.PathValue("action"))
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.restCalls.Add(1)
		// The middleware for credentials comes before the routes, so an unknown path without them is 401 and not 404.
		if s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token {
			answer(w, http.StatusUnauthorized, map[string]any{"code": 1800, "message": "user hasn't authenticated"})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *proxy) restCall(w http.ResponseWriter, r *http.Request, action string) {
	if s.stopping.Load() {
		// As every error of REST: in the body of a 200.
		answer(w, http.StatusOK, map[string]any{"code": notReady, "message": "service not ready[proxy=1]: Abnormal"})
		return
	}
	switch action {
	case "entities/search", "entities/query", "entities/get", "entities/advanced_search", "entities/hybrid_search":
		// Before the body is read.
		if !s.admit() {
			w.Header().Set("Retry-After", "1")
			w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
			message := fmt.Sprintf("too many concurrent requests, queue is full[limit=%d]", s.queue)
			answer(w, http.StatusTooManyRequests, map[string]any{"code": tooManyRequests, "message": message})
			return
		}
		defer s.done()
		s.work(r.Context())
	case "entities/insert", "entities/upsert", "entities/delete":
		s.writes.Add(1)
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	answer(w, http.StatusOK, map[string]any{"code": 0, "data": []string{}, "protocol": r.Proto})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// ManagementPort is Milvus's 9091. /standin is the stand-in's own: what it has seen.
func (s *proxy) managementPort() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		status, code, text := http.StatusOK, 1, "OK" // StateCode Healthy
		if s.stopping.Load() {
			status, code, text = http.StatusInternalServerError, 2, "Not all components are healthy, 0/1"
		}
		if r.Header.Get("Content-Type") == "application/json" {
			proxy := map[string]any{"name": "proxy", "code": code}
			answer(w, status, map[string]any{"state": text, "detail": []any{proxy}})
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	})
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		files, _ := os.ReadDir("/proc/self/fd")
		_, _ = fmt.Fprintf(w, "process_open_fds %d\n", len(files))
	})
	mux.HandleFunc("/management/check/ready", func(w http.ResponseWriter, _ *http.Request) {})
	mux.HandleFunc("/management/", s.operator)
	mux.HandleFunc("/webui/", s.operator)
	mux.HandleFunc("/standin", func(w http.ResponseWriter, _ *http.Request) {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		answer(w, http.StatusOK, map[string]any{
			"connections": s.connections.Load(), "most_streams": s.mostStreams, "most_searches": s.mostAtOnce.Load(),
			"writes": s.writes.Load(), "refused": s.refused.Load(), "rest_calls": s.restCalls.Load(),
			"closed_by_client": s.closings.byClient.Load(), "closed_by_server": s.closings.byServer.Load(),
		})
	})
	return mux
}

func (s *proxy) operator(w http.ResponseWriter, r *http.Request) {
	if user, password, ok := r.BasicAuth(); s.admin != "" && (!ok || user+":"+password != s.admin) {
		w.Header().Set("WWW-Authenticate", `Basic realm="milvus"`)
		http.Error(w, "root's credential is required", http.StatusUnauthorized)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/webui/") {
		_, _ = io.WriteString(w, "<title>Milvus WebUI</title>")
	}
}
