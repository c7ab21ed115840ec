package relay

import (
	"sync"
	"time"
)

const (
	// recordOverhead is what a record costs in addition to its text.
	recordOverhead = 1 << 10
	// nodeRecordBytes is what the records that were put on this node may cost: about 100000
	// usual ones. Beyond, those of the owner who has most are removed, the oldest first.
	nodeRecordBytes = 128 << 20
	// removedAtOnce bounds the records that one more of them removes.
	removedAtOnce = 16
)

// recordOwners know which records were put on this node, and whose they are, so that no owner
// pushes out those of others. It is safe for concurrent use.
type recordOwners struct {
	limit int

	mu      sync.Mutex // guards the following
	byOwner map[string]*ownedRecords
	bytes   int // of all
}

// ownedRecords are those of one owner, the oldest first.
type ownedRecords struct {
	first   int64 // the number of order[0]
	order   []ownedRecord
	numbers map[string]int64 // by key
	bytes   int
}

type ownedRecord struct {
	key  string
	seq  uint64 // in the stream
	size int
	at   time.Time
}

func newRecordOwners(limit int) *recordOwners {
	return &recordOwners{limit: limit, byOwner: make(map[string]*ownedRecords)}
}

// put notes a record, and returns the sequences of those that are to be removed for it.
func (o *recordOwners) put(owner, key string, seq uint64, size int, now time.Time) (remove []uint64) {
	size += recordOverhead
	o.mu.Lock()
	defer o.mu.Unlock()
	theirs := o.byOwner[owner]
	if theirs == nil {
		theirs = &ownedRecords{numbers: make(map[string]int64)}
		o.byOwner[owner] = theirs
	}
	if number, again := theirs.numbers[key]; again {
		record := &theirs.order[number-theirs.first]
		o.addLocked(theirs, size-record.size)
		record.seq, record.size = seq, size
	} else {
		theirs.numbers[key] = theirs.first + int64(len(theirs.order))
		theirs.order = append(theirs.order, ownedRecord{key, seq, size, now})
		o.addLocked(theirs, size)
	}
	if o.bytes <= o.limit {
		return nil
	}
	owner, theirs = o.largestLocked(now)
	for o.bytes > o.limit && theirs != nil && len(theirs.order) > 0 && len(remove) < removedAtOnce {
		remove = append(remove, o.dropLocked(theirs).seq)
	}
	if theirs != nil && len(theirs.order) == 0 {
		delete(o.byOwner, owner)
	}
	return remove
}

func (o *recordOwners) addLocked(theirs *ownedRecords, size int) {
	theirs.bytes += size
	o.bytes += size
}

// dropLocked forgets the oldest record of an owner.
func (o *recordOwners) dropLocked(theirs *ownedRecords) ownedRecord {
	record := theirs.order[0]
	theirs.order[0] = ownedRecord{}
	theirs.order = theirs.order[1:] // append leaves behind what is before
	theirs.first++
	delete(theirs.numbers, record.key)
	o.addLocked(theirs, -record.size)
	return record
}

// largestLocked forgets the records that the stream has forgotten too, and returns who has most
// of the others.
func (o *recordOwners) largestLocked(now time.Time) (largest string, theirs *ownedRecords) {
	for owner, records := range o.byOwner {
		for len(records.order) > 0 && now.Sub(records.order[0].at) > recordAge {
			o.dropLocked(records)
		}
		switch {
		case len(records.order) == 0:
			delete(o.byOwner, owner)
		case theirs == nil || records.bytes > theirs.bytes:
			largest, theirs = owner, records
		}
	}
	return largest, theirs
}
