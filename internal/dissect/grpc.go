package dissect

import (
	"strconv"
	"strings"

	"wirelake/internal/spi"
)

// grpc files the calls of gRPC over HTTP/2 (gRPC over HTTP2, "Requests" and
// "Responses"): the path is /service/method, the status stands in the trailers.
type grpc struct {
	service, method, status, message spi.FieldID
}

func declareGRPC(r *spi.Registry) *grpc {
	term := func(path, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: path, Type: spi.Term, List: true, Exprs: []string{expr}, Name: name, Help: help})
	}
	return &grpc{
		service: term("grpc.service", "grpc.service", "Service", "services called, with their packages"),
		method:  term("grpc.method", "grpc.method", "Method", "methods called"),
		message: term("grpc.message", "grpc.message", "Message", "texts of failed calls"),
		status:  r.Declare(spi.Field{Path: "grpc.status", Type: spi.Integer, List: true, Exprs: []string{"grpc.status"}, Name: "Status", Help: "status codes of calls"}),
	}
}

// isGRPC reports whether a Content-Type is gRPC's: application/grpc, +proto and the like.
func isGRPC(contentType string) bool { return strings.HasPrefix(contentType, "application/grpc") }

// call notes a request.
func (g *grpc) call(s *Session, path string) {
	s.AddProtocol("grpc")
	i := strings.LastIndexByte(path, '/')
	if i <= 0 || path[0] != '/' {
		return
	}
	s.Doc.AddString(g.service, path[1:i])
	s.Doc.AddString(g.method, path[i+1:])
}

// trailer notes a header field of a response or its trailers.
func (g *grpc) trailer(s *Session, name, value string) {
	switch name {
	case "grpc-status":
		if n, err := strconv.ParseUint(value, 10, 16); err == nil {
			s.Doc.AddInt(g.status, int64(n)) //nolint:gosec // 16 bits
		}
	case "grpc-message":
		if value != "" {
			s.Doc.AddString(g.message, value[:min(len(value), httpRequestBody)])
		}
	}
}
