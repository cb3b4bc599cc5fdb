package awstest

import (
	"encoding/xml"
	"net/http"
	"strings"
)

// errorResponse is AWS's error document of the request's service, and notes the
// code for the record of calls. Details are further elements of S3's document,
// as pairs of name and value: {"Region", "eu-west-1"}.
func errorResponse(req *request, status int, code, message string, details ...[2]string) *response {
	req.call.Code = code
	resp := &response{status: status, header: http.Header{}}
	var b strings.Builder
	if req.service == serviceS3 {
		resp.header.Set("Content-Type", "application/xml")
		b.WriteString(xml.Header + "<Error>")
		element(&b, "Code", code)
		element(&b, "Message", message)
		for _, d := range details {
			element(&b, d[0], d[1])
		}
		element(&b, "RequestId", req.id)
		element(&b, "HostId", hostID(req.id))
		b.WriteString("</Error>")
	} else {
		fault := "Sender"
		if status >= 500 {
			fault = "Receiver"
		}
		resp.header.Set("Content-Type", "text/xml")
		b.WriteString(`<ErrorResponse xmlns="` + stsNamespace + "\">\n  <Error>")
		element(&b, "Type", fault)
		element(&b, "Code", code)
		element(&b, "Message", message)
		b.WriteString("</Error>\n  ")
		element(&b, "RequestId", req.id)
		b.WriteString("\n</ErrorResponse>\n")
	}
	if req.Method == http.MethodHead && req.service == serviceS3 {
		return resp // S3 tells the status and nothing else
	}
	resp.body = []byte(b.String())
	return resp
}

// element writes one XML element, its text escaped.
func element(b *strings.Builder, name, text string) {
	b.WriteString("<" + name + ">")
	// A strings.Builder never fails to write.
	_ = xml.EscapeText(b, []byte(text))
	b.WriteString("</" + name + ">")
}
