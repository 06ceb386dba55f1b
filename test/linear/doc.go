// Package linear is the model of one stream for linearizability checks, and a random client that records what it asked and
// what it was answered. [Model] goes to Porcupine, which searches for one order of all operations that explains every answer.
package linear
