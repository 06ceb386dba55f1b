// Package strictjson reads JSON texts strictly (control plane 2.9), value by value. Package protocol reads the bodies of requests
// with it, and package declare reads files of resources.
//
// A reader knows three kinds of refusal: the text is not JSON ([SyntaxError]), a value has the wrong type or is out of range
// ([ValueError]), a value breaks a rule ([RuleError]). [Read] ends at the first of them; [ReadAll] goes on behind refused values and
// returns all.
package strictjson
