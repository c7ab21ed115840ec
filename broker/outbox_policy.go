package broker

// makeRoomLocked applies the policy and reports whether the item can be queued.
func (o *outbox) makeRoomLocked(it item) bool {
	switch o.options.Policy {
	case PolicyDropOldest:
		o.dropOldestLocked(len(it.data))
		return o.fitsQueueLocked(it)
	case PolicyConflate:
		if o.newest == nil {
			o.conflateLocked()
		}
		_, replaces := o.newest[conflateKey{it.sub, it.destination}]
		return replaces || o.fitsQueueLocked(it)
	}
	return false
}

// fitsQueueLocked is fits where a policy has dropped what it may: messages may take the
// room again that is being written, which is no more than was queued once. Frames
// that no policy drops may not.
func (o *outbox) fitsQueueLocked(it item) bool {
	if it.sub == nil {
		return o.fitsLocked(len(it.data))
	}
	frames, bytes := o.frames-o.inFlight.frames, o.bytes-o.inFlight.bytes
	return frames == 0 || (frames < o.options.MaxFrames && bytes+len(it.data) <= o.options.MaxBytes)
}

// dropOldestLocked drops messages from the front, a quarter of the limits at a time,
// so that its cost is shared by many pushes.
func (o *outbox) dropOldestLocked(size int) {
	wantFrames := o.options.MaxFrames*3/4 + o.inFlight.frames
	wantBytes := o.options.MaxBytes*3/4 - size + o.inFlight.bytes
	kept := o.queue[:0]
	for _, it := range o.queue {
		if it.sub != nil && (o.frames > wantFrames || o.bytes > wantBytes) {
			it.sub.gap = o.marksGaps
			o.waiting.dropItemLocked(o, it)
			continue
		}
		kept = append(kept, it)
	}
	clear(o.queue[len(kept):])
	o.queue = kept
}

// conflateLocked keeps the newest message per subscription and destination, at the
// place of the oldest, and indexes the queue so that the next ones replace theirs.
func (o *outbox) conflateLocked() {
	o.newest, o.taken = make(map[conflateKey]int), 0
	kept := o.queue[:0]
	for _, it := range o.queue {
		key := conflateKey{it.sub, it.destination}
		if at, ok := o.newest[key]; ok && it.sub != nil {
			it.sub.gap = it.sub.gap || kept[at].gap && !it.gap
			o.waiting.dropItemLocked(o, kept[at])
			kept[at] = it
			continue
		}
		if it.sub != nil {
			o.newest[key] = len(kept)
		}
		kept = append(kept, it)
	}
	clear(o.queue[len(kept):])
	o.queue = kept
}
