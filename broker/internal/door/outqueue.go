package door

import "container/list"

// outQueue holds readers that wait for room: the clients in turn, and of each client first come, first served. So a client with one
// reader waits for one of each other client, not for all thousand of another.
type outQueue struct {
	turns   list.List // of *outTurn; the first is next
	clients map[string]*outTurn
	n       int
}

// outTurn is the readers of one client.
type outTurn struct {
	place *list.Element // in turns
	waits list.List     // of *outWait
}

// outWait is a reader that waits.
type outWait struct {
	hold    *Hold
	bytes   int64
	granted chan struct{} // closed when it has got them
	place   *list.Element // among those of its client
}

func (q *outQueue) len() int { return q.n }

func (q *outQueue) push(w *outWait) {
	t := q.clients[w.hold.client]
	if t == nil {
		if q.clients == nil {
			q.clients = map[string]*outTurn{}
		}
		t = &outTurn{}
		t.place = q.turns.PushBack(t)
		q.clients[w.hold.client] = t
	}
	w.place = t.waits.PushBack(w)
	q.n++
}

// next returns the reader whose turn it is; nil if none waits.
func (q *outQueue) next() *outWait {
	first := q.turns.Front()
	if first == nil {
		return nil
	}
	return first.Value.(*outTurn).waits.Front().Value.(*outWait) //nolint:forcetypeassert // nothing else is in there
}

// pop takes the reader out whose turn it is; the other clients have their turn then.
func (q *outQueue) pop() {
	w := q.next()
	q.turns.MoveToBack(q.turns.Front())
	q.remove(w)
}

// remove takes a reader out.
func (q *outQueue) remove(w *outWait) {
	t := q.clients[w.hold.client]
	t.waits.Remove(w.place)
	q.n--
	if t.waits.Len() == 0 {
		q.turns.Remove(t.place)
		delete(q.clients, w.hold.client)
	}
}
