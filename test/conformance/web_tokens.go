package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

const tokensPath = "/v1/access-tokens"

// webTokenCases: control plane A.18 to A.20 and A.23, the rules of access tokens that show only in HTTP, where nothing is
// checked.
var webTokenCases = []WebCase{
	{Row: "cp A.18/319,320,321,322,323", Name: "requests that cannot be decoded", Run: func(t *testing.T, e *WebEnv) {
		for _, rest := range []string{
			`"x":1`, `"scope":null`, `"scope":{"basins":{"exact":"some-basin","prefix":"some"}}`, `"scope":{"basins":{"exact":"Bad Name"}}`,
			`"scope":{"ops":["list-basins","fly"]}`, `"expires_at":"tomorrow","scope":{"ops":["read"]}`,
		} {
			e.post(tokensPath, `{"id":"some-token",`+rest+`}`, jsonBody).fails(protocol.CodeBadJSON)
		}
		e.get(tokensPath + "?prefix=some-token").ok().says(`{"access_tokens":[],"has_more":false}`)
	}},
	{Row: "cp A.19/338", Name: "ids that are none", Run: func(t *testing.T, e *WebEnv) {
		for _, id := range []string{"", ".", "..", strings.Repeat("x", 97), `a\u0000`} {
			e.post(tokensPath, `{"id":"`+id+`","scope":{"ops":["read"]}}`, jsonBody).fails(protocol.CodeBadJSON)
		}
		e.ask("DELETE", tokensPath+"/", "").refuses(404, protocol.CodeBadPath)
		for _, id := range []string{"%2E", "..", strings.Repeat("x", 97), "a%00"} {
			if id == ".." {
				id = "%2E%2E"
			}
			e.ask("DELETE", tokensPath+"/"+id, "").fails(protocol.CodeBadPath)
		}
	}},
	{Row: "cp 1.3", Name: "queries of a listing of tokens", Run: func(t *testing.T, e *WebEnv) {
		for _, query := range []string{"limit=-1", "limit=x", "prefix=a&prefix=b", "prefix=" + strings.Repeat("x", 97), "start_after=%00"} {
			e.get(tokensPath + "?" + query).fails(protocol.CodeBadQuery)
		}
		e.get(tokensPath + "?prefix=.&start_after=..&limit=2000&more=1").ok()
	}},
	{Row: "cp A.23/431", Name: "a bad body comes before everything else", Run: func(t *testing.T, e *WebEnv) {
		e.post(tokensPath, `{`, jsonBody).fails(protocol.CodeBadJSON)
		e.post(tokensPath, `{}`, jsonBody).fails(protocol.CodeBadJSON)
		e.post(tokensPath, `{"id":"x","scope":{"ops":["read"]}}`).fails(protocol.CodeBadJSON)
	}},
	{Row: "cp 5.1", Name: "issue, list and revoke", Run: func(t *testing.T, e *WebEnv) {
		id := fmt.Sprintf("conf-%s-web/%d.", runID, serial.Add(1)) // no other one begins with it
		a := e.post(tokensPath, `{"id":"`+id+`","scope":{"ops":["trim","read","read"],"op_groups":{"stream":{"read":true}}}}`, jsonBody)
		issued, err := protocol.DecodeJSON[protocol.IssuedAccessToken](a.is(201).media("application/json").Body)
		e.must(err, "decode")
		a.says(`{"access_token":"`+issued.Secret+`"}`).has("Cache-Control", "no-store")
		e.get(tokensPath + "?limit=1&prefix=" + strings.ReplaceAll(id, "/", "%2F")).ok().says(`{"access_tokens":[{"id":"` + id +
			`","expires_at":null,"auto_prefix_streams":false,"scope":{"basins":null,"streams":null,"access_tokens":null,` +
			`"op_groups":{"account":{"read":false,"write":false},"basin":{"read":false,"write":false},"stream":{"read":true,"write":false}},` +
			`"ops":["read","trim"]},"unconfirmed":true}],"has_more":false}`) // nothing is checked here
		path := tokensPath + "/" + strings.ReplaceAll(id, "/", "%2F")
		e.ask("DELETE", path, "").is(204).says("").has("Content-Type", "")
		e.ask("DELETE", path, "").fails(protocol.CodeAccessTokenNotFound)
	}},
	{Row: "cp A.20/377", Name: "where nothing is checked, any credential and none are taken", Run: func(t *testing.T, e *WebEnv) {
		e.get("/v1/basins?limit=1").ok()
		for _, value := range []string{"Bearer ignored", "Bearer", "Basic dTpw", "", "Bearer a b"} {
			e.get("/v1/basins?limit=1", "authorization: "+value).ok()
		}
		e.get("/v1/basins?limit=1", "authorization: Bearer a", "authorization: Bearer b").ok()
	}},
}
