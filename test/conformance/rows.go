package conformance

import (
	"fmt"
	"strconv"
	"strings"
)

// Place says where a row of the specification is checked.
type Place string

// The places. Everything that is not Here is checked, or will be, by tests that live beside the code named in Where.
const (
	Here       Place = "a case of this package"
	ByHTTP     Place = "a case of this package that needs HTTP"
	ByAccount  Place = "needs access tokens, quotas or locations"
	ByClient   Place = "behaviour of a client or its command line"
	ByUnitTest Place = "unit tests"
	// Void rows ask for nothing: they describe the reference server, or are decided otherwise in control plane 11.
	Void Place = "nothing to check"
)

// Row is one row, or a run of rows, of an appendix.
type Row struct {
	Section     string // "A.1"
	First, Last int
	Place       Place
	// Where names the package, for unit tests and clients, or the reason, for void rows.
	Where string
}

// DataPlane lists every row of the data plane's appendix, once and in order.
var DataPlane = []Row{
	{"A.1", 1, 28, Here, ""},
	{"A.1", 29, 29, ByHTTP, ""},
	{"A.1", 30, 30, Here, ""},
	{"A.2", 31, 42, Here, ""},
	{"A.2", 43, 48, ByUnitTest, "adapter"},
	{"A.2", 49, 50, ByUnitTest, "sessions"},
	{"A.2", 51, 51, ByUnitTest, "adapter"},
	{"A.3", 52, 57, Here, ""},
	{"A.3", 58, 58, Here, ""},
	{"A.3", 59, 70, Here, ""},
	{"A.3", 71, 71, ByUnitTest, "adapter"},
	{"A.3", 72, 72, Here, ""},
	{"A.4", 73, 89, Here, ""},
	{"A.5", 90, 92, ByUnitTest, "adapter"},
	{"A.5", 93, 93, ByUnitTest, "adapter"},
	{"A.6", 94, 94, Here, ""},
	{"A.6", 95, 95, Here, ""},
	{"A.6", 96, 107, Here, ""},
	{"A.6", 108, 108, ByHTTP, ""},
	{"A.6", 109, 109, Here, ""},
	{"A.6", 110, 111, ByHTTP, ""},
	{"A.6", 112, 112, Here, ""},
	{"A.6", 113, 116, ByClient, "SDK producer"},
	{"A.6", 117, 118, Here, ""},
	{"A.7", 119, 121, ByUnitTest, "adapter"},
	{"A.7", 122, 122, Here, ""},
	{"A.7", 123, 124, ByUnitTest, "adapter"},
	{"A.7", 125, 126, Here, ""},
	{"A.7", 127, 130, ByUnitTest, "adapter"},
	{"A.8", 131, 155, Here, ""},
	{"A.8", 156, 156, ByHTTP, ""},
	{"A.8", 157, 162, Here, ""},
	{"A.9", 163, 191, Here, ""},
	{"A.9", 192, 195, ByUnitTest, "protocol"},
	{"A.9", 196, 198, Here, ""},
	{"A.10", 199, 226, Here, ""},
	{"A.11", 227, 232, Here, ""},
	{"A.12", 233, 238, Here, ""},
	{"A.12", 239, 245, ByUnitTest, "adapter"},
	{"A.12", 246, 250, Here, ""},
	{"A.12", 251, 251, Here, ""},
	{"A.12", 252, 253, Here, ""},
	{"A.13", 254, 259, Here, ""},
	{"A.13", 260, 260, Here, ""},
	{"A.14", 261, 261, Here, ""},
	{"A.14", 262, 262, Here, ""},
	{"A.14", 263, 271, Here, ""},
	{"A.14", 272, 272, Here, ""},
	{"A.14", 273, 277, Here, ""},
	{"A.15", 278, 278, Here, ""},
	{"A.15", 279, 279, ByHTTP, ""},
	{"A.15", 280, 280, Here, ""},
	{"A.15", 281, 285, ByHTTP, ""},
	{"A.15", 286, 291, Here, ""},
	{"A.15", 292, 295, ByUnitTest, "adapter"},
	{"A.15", 296, 296, Here, ""},
	{"A.15", 297, 297, ByUnitTest, "adapter"},
	{"A.15", 298, 300, Here, ""},
	{"A.16", 301, 328, ByHTTP, ""},
	{"A.17", 329, 338, ByHTTP, ""},
	{"A.18", 339, 361, ByHTTP, ""},
	{"A.19", 362, 362, Here, ""},
	{"A.19", 363, 363, ByClient, "client"},
	{"A.19", 364, 364, ByClient, "SDK state: whether it is caught up"},
	{"A.19", 365, 365, Here, ""},
	{"A.19", 366, 366, ByClient, "client"},
	{"A.19", 367, 367, ByClient, "SDK state: whether it is caught up"},
	{"A.19", 368, 371, ByClient, "client"},
	{"A.19", 372, 373, ByClient, "SDK retry policies"},
	{"A.19", 374, 375, ByClient, "cmd/weir"},
}

// ControlPlane lists the rows of the control plane's appendix that concern names, paging, configurations, basins and
// streams, once and in order.
var ControlPlane = []Row{
	{"A.1", 1, 16, ByUnitTest, "protocol"},
	{"A.1", 17, 17, Here, ""},
	{"A.1", 18, 18, ByUnitTest, "protocol"},
	{"A.1", 19, 20, Here, ""},
	{"A.1", 21, 29, ByUnitTest, "protocol"},
	{"A.1", 30, 35, ByHTTP, ""},
	{"A.2", 36, 40, Here, ""},
	{"A.2", 41, 41, ByHTTP, ""},
	{"A.2", 42, 51, Here, ""},
	{"A.2", 52, 53, ByHTTP, ""},
	{"A.3", 54, 55, Here, ""},
	{"A.3", 56, 59, ByHTTP, ""},
	{"A.3", 60, 60, Here, ""},
	{"A.3", 61, 61, ByHTTP, ""},
	{"A.3", 62, 64, Here, ""},
	{"A.3", 65, 65, ByUnitTest, "protocol"},
	{"A.3", 66, 66, ByHTTP, ""},
	{"A.3", 67, 67, Here, ""},
	{"A.3", 68, 68, ByUnitTest, "protocol"},
	{"A.3", 69, 69, Here, ""},
	{"A.3", 70, 71, ByUnitTest, "protocol"},
	{"A.3", 72, 80, ByHTTP, ""},
	{"A.4", 81, 94, Here, ""},
	{"A.4", 95, 95, Here, ""},
	{"A.4", 96, 102, Here, ""},
	{"A.5", 103, 104, Here, ""},
	{"A.5", 105, 105, ByHTTP, ""},
	{"A.5", 106, 107, Here, ""},
	{"A.5", 108, 110, Void, "data plane A.14 has the same rows"},
	{"A.5", 111, 116, Here, ""},
	{"A.5", 117, 117, ByUnitTest, "protocol"},
	{"A.5", 118, 118, Here, ""},
	{"A.5", 119, 119, ByUnitTest, "protocol"},
	{"A.5", 120, 124, Here, ""},
	{"A.5", 125, 128, Here, ""},
	{"A.5", 129, 129, Here, ""},
	{"A.5", 130, 131, Void, "there is no quota to reach, and no hosting to freeze an account"},
	{"A.6", 132, 146, Here, ""},
	{"A.6", 147, 148, ByHTTP, ""},
	{"A.7", 149, 152, Here, ""},
	{"A.7", 153, 153, Void, "decision D-10: no basin is ever in creation"},
	{"A.7", 154, 163, Here, ""},
	{"A.7", 164, 164, ByClient, "SDK option"},
	{"A.7", 165, 167, Here, ""},
	{"A.8", 168, 173, Here, ""},
	{"A.8", 174, 176, ByClient, "SDK iterators"},
	{"A.8", 177, 177, Here, ""},
	{"A.9", 178, 181, Here, ""},
	{"A.9", 182, 183, Here, ""},
	{"A.9", 184, 194, Here, ""},
	{"A.9", 195, 195, ByUnitTest, "protocol"},
	{"A.9", 196, 196, ByHTTP, ""},
	{"A.9", 197, 199, Here, ""},
	{"A.10", 200, 213, Here, ""},
	{"A.10", 214, 214, ByUnitTest, "protocol"},
	{"A.10", 215, 215, ByHTTP, ""},
	{"A.10", 216, 216, Here, ""},
	{"A.11", 217, 227, Here, ""},
	{"A.11", 228, 228, ByUnitTest, "protocol"},
	{"A.11", 229, 229, Here, ""},
	{"A.12", 230, 232, Here, ""},
	{"A.12", 233, 233, ByClient, "SDK option"},
	{"A.12", 234, 237, Void, "A.9/194, A.11/219,224 and data plane A.12/250 are the same rows"},
	{"A.12", 238, 238, Here, ""},
	{"A.12", 239, 245, Here, ""},
	{"A.13", 246, 251, Here, ""},
	{"A.13", 252, 252, ByClient, "SDK iterators"},
	{"A.13", 253, 253, Here, ""},
	{"A.13", 254, 254, Here, ""},
	{"A.14", 255, 272, Void, "data plane A.14 has the same rows"},
}

// ControlPlaneTasks lists the rows of the control plane's appendix that concern background tasks, once and
// in order. Where the reference works in pages of its own, a test asks that more than a page of work is done.
var ControlPlaneTasks = []Row{
	{"A.15", 273, 286, ByUnitTest, "adapter"},
	{"A.16", 287, 290, Here, ""},
	{"A.16", 291, 294, ByUnitTest, "adapter"},
	{"A.16", 295, 296, Here, ""},
	{"A.16", 297, 298, ByUnitTest, "adapter"},
	{"A.16", 299, 300, Here, ""},
	{"A.16", 301, 303, ByUnitTest, "adapter"},
	{"A.16", 304, 304, Here, ""},
	{"A.17", 305, 315, ByUnitTest, "adapter"},
	{"A.17", 316, 316, Here, ""},
}

// ControlPlaneTokens lists the rows of the control plane's appendix that concern access tokens, once and in order. Their
// cases are a [TokenCase] each, but for the rules that show only in HTTP.
var ControlPlaneTokens = []Row{
	{"A.18", 317, 318, Here, ""},
	{"A.18", 319, 323, ByHTTP, ""},
	{"A.19", 324, 337, Here, ""},
	{"A.19", 338, 338, ByHTTP, ""},
	{"A.19", 339, 352, Here, ""},
	{"A.19", 353, 353, ByClient, "client"},
	{"A.19", 354, 356, Here, ""},
	{"A.20", 357, 376, Here, ""},
	{"A.20", 377, 377, ByHTTP, ""},
	{"A.20", 378, 378, Here, ""},
}

// ControlPlaneUsage lists the rows of the control plane's appendix that concern usage metrics, once and in order.
var ControlPlaneUsage = []Row{
	{"A.21", 379, 396, Here, ""},
	{"A.21", 397, 397, ByClient, "client"},
	{"A.21", 398, 399, Here, ""},
	{"A.21", 400, 400, ByUnitTest, "broker/internal/access"},
	{"A.21", 401, 401, Here, ""},
	{"A.21", 402, 402, ByHTTP, ""},
	{"A.21", 403, 403, Void, "it is about the reference server, which has no usage metrics (D-12)"},
}

// ControlPlaneHTTP lists the rows of the control plane's appendix that concern errors and the surroundings of the API, once
// and in order.
var ControlPlaneHTTP = []Row{
	{"A.23", 414, 416, ByHTTP, ""},
	{"A.23", 417, 423, ByClient, "SDK"},
	{"A.23", 424, 430, ByHTTP, ""},
	{"A.23", 431, 431, ByHTTP, ""},
	{"A.24", 432, 435, ByHTTP, ""},
	{"A.24", 436, 436, ByUnitTest, "broker/internal/httpapi"},
	{"A.24", 437, 437, Void, "weir listens on 127.0.0.1:8080 unless it is told otherwise, with TLS and without"},
	{"A.24", 438, 440, ByUnitTest, "cmd/weir"},
	{"A.24", 441, 441, ByUnitTest, "conf"},
	{"A.24", 442, 442, ByUnitTest, "cmd/weir"},
	{"A.24", 443, 459, ByUnitTest, "internal/declare"},
	{"A.24", 460, 462, Here, ""},
	{"A.24", 463, 463, ByUnitTest, "internal/declare"},
	{"A.25", 464, 470, ByUnitTest, "protocol"},
	{"A.25", 471, 475, ByUnitTest, "cmd/weir"},
	{"A.25", 476, 485, ByUnitTest, "cmd/weir"},
	{"A.25", 486, 489, Void, "weir's command finds its broker over NATS, by its addresses and contexts"},
	{"A.26", 490, 496, ByClient, "SDK endpoints"},
	{"A.26", 497, 497, ByHTTP, ""},
	{"A.26", 498, 498, ByClient, "SDK retries"},
	{"A.26", 499, 499, ByHTTP, ""},
}

// ControlPlaneLocations lists the rows of the control plane's appendix that concern locations, once and in order.
var ControlPlaneLocations = []Row{
	{"A.22", 404, 406, Here, ""},
	{"A.22", 407, 407, ByHTTP, ""},
	{"A.22", 408, 408, Here, ""},
	{"A.22", 409, 409, ByHTTP, ""},
	{"A.22", 410, 411, Here, ""},
	{"A.22", 412, 412, Here, ""},
	{"A.22", 413, 413, Void, "it is about the reference server, which has no locations (D-12)"},
}

// ref is a row that a case names.
type ref struct {
	control bool
	section string
	number  int // 0 for a section without rows of its own
}

// beyondS2 is the Row of a rule that S2 does not have.
const beyondS2 = "weir"

// refs reads a case's Row.
func refs(row string) ([]ref, error) {
	if row == beyondS2 {
		return nil, nil
	}
	rest, control := strings.CutPrefix(row, "cp ")
	section, numbers, ok := strings.Cut(rest, "/")
	if !ok {
		if _, err := strconv.ParseFloat(section, 64); err != nil {
			return nil, fmt.Errorf("row %q is neither a row nor a section", row)
		}
		return []ref{{control, section, 0}}, nil
	}
	var out []ref
	for number := range strings.SplitSeq(numbers, ",") {
		n, err := strconv.Atoi(number)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("row %q: %q is no row number", row, number)
		}
		out = append(out, ref{control, section, n})
	}
	return out, nil
}
