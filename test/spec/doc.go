// Package spec reads the specification in docs/spec and finds the places that cite it, so that a test can say which
// citations name a section, row or decision that does not exist, and so that a person can look a row up:
//
//	go run ./test/spec/row A.2/49
//	go run ./test/spec/row 'cp A.20/368'
package spec
