package broker

import (
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// transaction is the SENDs and ACKs between BEGIN and COMMIT. They were checked
// when they arrived, and are once more at COMMIT where the session has shown a fresh
// token since. At COMMIT those that write to queues take effect first, together, and
// then all others in order.
type transaction struct {
	operations []operation
	bytes      int // of bodies and headers
	held       int // of the session's account
}

// operationOverhead is what a frame of a transaction takes in addition to its text, about, and
// a transaction itself.
const operationOverhead = 512

func (s *Session) begin(f *frames.Frame) (outcome, error) {
	name, err := transactionName(f)
	if err != nil {
		return 0, err
	}
	if s.transactions[name] != nil {
		return 0, errorf(CodeTransaction, "transaction %q is open already", name)
	}
	if limit := s.broker.settings().limits.MaxTransactions; limit > 0 && len(s.transactions) >= limit {
		return 0, errorf(CodeTransactionSize, "a connection may have %d open transactions", limit).of("transactions")
	}
	t := new(transaction)
	if err := s.holdTransaction(t, len(name)); err != nil {
		return 0, err
	}
	if s.transactions == nil {
		s.transactions = make(map[string]*transaction)
	}
	s.transactions[strings.Clone(name)] = t
	return outcomeReceipt, nil
}

// holdTransaction counts n more bytes of a transaction.
func (s *Session) holdTransaction(t *transaction, n int) error {
	n += operationOverhead
	if err := s.transactionBytes.add(n); err != nil {
		return err
	}
	t.held += n
	return nil
}

// buffer keeps a step for the COMMIT.
func (s *Session) buffer(name string, op operation) error {
	t := s.transactions[name]
	if t == nil {
		return errorf(CodeTransaction, "there is no open transaction %q", name)
	}
	t.bytes += op.size
	l := &s.broker.settings().limits
	if many := len(t.operations) >= l.MaxTransactionFrames; many || t.bytes > l.MaxTransactionBytes {
		limit := map[bool]string{true: "transaction_frames", false: "transaction_bytes"}[many]
		return errorf(CodeTransactionSize, "transaction %q is too large: the limits are %d frames and %d bytes", name, l.MaxTransactionFrames, l.MaxTransactionBytes).of(limit)
	}
	if err := s.holdTransaction(t, op.size); err != nil {
		return err
	}
	t.operations = append(t.operations, op)
	return nil
}

func (s *Session) commit(f *frames.Frame) (outcome, error) {
	t, err := s.takeTransaction(f)
	if err != nil {
		return 0, err
	}
	defer s.transactionBytes.sub(t.held)
	if err := s.authorizeCommit(t); err != nil {
		return 0, err
	}
	var stores []driver.StoreRequest
	for _, op := range t.operations {
		if op.store != nil {
			stores = append(stores, *op.store)
		}
	}
	if len(stores) > 0 {
		if err := s.awaitLanes(); err != nil {
			return 0, err
		}
	}
	// The queues come first: nothing else has happened when they refuse.
	err = s.broker.stores.storeAll(stores)
	endStored(t.operations, err)
	if err != nil {
		return 0, err
	}
	receipt, wanted := f.Headers.Lookup(frames.Receipt)
	for _, op := range t.operations {
		if op.store != nil || op.refreshes {
			continue
		}
		if op.runConfirmed != nil && wanted {
			a := s.receipts.reserve("", 0, false) // the COMMIT's RECEIPT comes after it
			a.about = strings.Clone(receipt)
			op.runConfirmed(a.complete)
			continue
		}
		if _, err := s.execute(op, ""); err != nil {
			return 0, err
		}
	}
	return outcomeReceipt, nil // after the RECEIPTs that are pending
}

func (s *Session) abort(f *frames.Frame) (outcome, error) {
	t, err := s.takeTransaction(f)
	if err == nil {
		s.transactionBytes.sub(t.held)
	}
	return outcomeReceipt, err
}

func (s *Session) takeTransaction(f *frames.Frame) (*transaction, error) {
	name, err := transactionName(f)
	if err != nil {
		return nil, err
	}
	t := s.transactions[name]
	if t == nil {
		return nil, errorf(CodeTransaction, "there is no open transaction %q", name)
	}
	delete(s.transactions, name)
	return t, nil
}

func transactionName(f *frames.Frame) (string, error) {
	name := f.Get(frames.Transaction)
	if name == "" {
		return "", errorf(CodeMissingHeader, "%s needs a transaction header", f.Command)
	}
	return name, nil
}
