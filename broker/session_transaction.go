package broker

import (
	"errors"
	"strings"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// transaction is the SENDs and ACKs between BEGIN and COMMIT. They were checked
// when they arrived. At COMMIT those that write to queues take effect first,
// together, and then all others in order.
type transaction struct {
	operations []operation
	bytes      int
}

func (s *Session) begin(f *frames.Frame) error {
	name, err := transactionName(f)
	if err != nil {
		return err
	}
	if s.transactions[name] != nil {
		return errorf(CodeTransaction, "transaction %q is open already", name)
	}
	if most := s.broker.limits.MaxTransactions; most > 0 && len(s.transactions) >= most {
		return errorf(CodeTransactionSize, "a connection may have %d open transactions", most)
	}
	if s.transactions == nil {
		s.transactions = make(map[string]*transaction)
	}
	s.transactions[strings.Clone(name)] = new(transaction)
	return nil
}

// inTransaction keeps a step for the COMMIT.
func (s *Session) buffer(name string, todo operation) error {
	t := s.transactions[name]
	if t == nil {
		return errorf(CodeTransaction, "there is no open transaction %q", name)
	}
	t.bytes += todo.size
	l := &s.broker.limits
	if len(t.operations) >= l.MaxTransactionFrames || t.bytes > l.MaxTransactionBytes {
		return errorf(CodeTransactionSize, "transaction %q is too large: the limits are %d frames and %d octets", name, l.MaxTransactionFrames, l.MaxTransactionBytes)
	}
	t.operations = append(t.operations, todo)
	return nil
}

func (s *Session) commit(f *frames.Frame) error {
	t, err := s.takeTransaction(f)
	if err != nil {
		return err
	}
	var stores []driver.StoreRequest
	for _, one := range t.operations {
		if one.store != nil {
			stores = append(stores, *one.store)
		}
	}
	// The queues come first: nothing else has happened when they refuse.
	if err := s.broker.storeAll(stores); err != nil {
		return err
	}
	receipt, wanted := f.Headers.Lookup(frames.Receipt)
	for _, one := range t.operations {
		if one.store != nil {
			continue
		}
		if one.runConfirmed != nil && wanted {
			a := s.receipts.reserve("", 0) // the COMMIT's RECEIPT comes after it
			a.about = strings.Clone(receipt)
			one.runConfirmed(a.complete)
			continue
		}
		if err := s.execute(one, ""); err != nil && !errors.Is(err, errLater) {
			return err
		}
	}
	return nil
}

func (s *Session) abort(f *frames.Frame) error {
	_, err := s.takeTransaction(f)
	return err
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
