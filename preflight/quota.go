package preflight

// quota is what a quota leaves.
type quota struct {
	of string // whose it is, such as "user caddy"
	// bytes and files that are left; negative without a limit.
	bytes, files int64
}

const topicQuota = "quota"

// quotas compares the quotas of the user and the group that the queue's files will
// have with what the queue may still take. The system tells quotas of ext4, XFS and
// others; those of btrfs (qgroups) are known by other means, and to root alone.
func (d DataDir) quotas(s *Section, there, kind string, need int64) {
	if kind == "btrfs" {
		s.Add(Note, topicQuota, "look at 'btrfs qgroup show -r "+there+"'", "btrfs has its own quotas, which are not looked at")
		return
	}
	found, err := d.system.quota(there, d.User)
	if err != nil {
		s.Add(Note, topicQuota, "", "whether there is one, or another one, is not known: %v", err)
	}
	for _, q := range found {
		switch {
		case q.bytes < 0:
		case q.bytes < floor:
			s.Add(Problem, topicQuota, "raise it, or make room", "%s has %s left: the queue needs %s to begin", q.of, size(q.bytes), size(floor))
		case q.bytes < need+floor:
			s.Add(Warning, topicQuota, "raise it, or set a smaller max_size", "%s has %s left, and the queue may take %s more: a long backlog does not fit", q.of, size(q.bytes), size(need))
		default:
			s.Add(OK, topicQuota, "", "%s has %s left", q.of, size(q.bytes))
		}
		switch {
		case q.files < 0:
		case q.files < segmentFiles+otherFiles:
			s.Add(Problem, topicQuota, "raise it, or remove files", "%s may make %d more files; the queue needs %d to begin", q.of, q.files, segmentFiles+otherFiles)
		case q.files < filesFor(need):
			s.Add(Warning, topicQuota, "raise it, or set a smaller max_size", "%s may make %d more files; the queue may need %d", q.of, q.files, filesFor(need))
		}
	}
}

// filesFor returns how many files the queue may make for so many bytes.
func filesFor(bytes int64) int64 { return bytes/segmentBytes*segmentFiles + otherFiles }
