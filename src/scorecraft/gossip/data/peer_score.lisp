; The peer score of GossipSub v1.1 in plain ACL2, as src/scorecraft/gossip/peer_score.py has it.
; Parameters of a topic are a list in the order of TopicParameters; counters are (mt F D I B).
; The flag model is t for the semantics of the published ACL2s model, nil for the specification's.

(defun at (n l) (declare (xargs :guard (and (natp n) (true-listp l)))) (rfix (nth n l)))
(defun low (x y) (if (< x y) x y))

(defun deficit (p c)
  (let ((missing (- (at 10 p) (at 2 c))))
    (if (and (< (at 12 p) (at 0 c)) (< 0 missing)) missing 0)))

(defun quanta (p c model)
  (if (equal (at 1 p) 0)
      0
    (low (if model (/ (at 0 c) (at 2 p)) (floor (at 0 c) (at 2 p))) (at 3 p))))

(defun p1 (p c model) (* (at 1 p) (quanta p c model)))
(defun p2 (p c) (* (at 4 p) (low (at 1 c) (at 6 p))))
(defun p3 (p c) (* (at 7 p) (deficit p c) (deficit p c)))
(defun p3b (p c model)
  (* (at 13 p) (+ (at 4 c) (if model (* (deficit p c) (deficit p c)) 0))))
(defun p4 (p c) (* (at 15 p) (at 3 c) (at 3 c)))

(defun topic-score (p c model)
  (* (at 0 p) (+ (p1 p c model) (p2 p c) (p3 p c) (p3b p c model) (p4 p c))))

(defun sum-topics (ps cs model)
  (if (or (endp ps) (endp cs))
      0
    (+ (topic-score (car ps) (car cs) model) (sum-topics (cdr ps) (cdr cs) model))))

; g is (A surplus H), w is (cap w5 w6 w7 threshold-of-H).
(defun over-all (g w model)
  (+ (* (at 1 w) (at 0 g))
     (* (at 2 w) (if model (at 1 g) (let ((s (if (< 0 (at 1 g)) (at 1 g) 0))) (* s s))))
     (* (at 3 w)
        (let ((h (if model (at 2 g) (let ((b (- (at 2 g) (at 4 w)))) (if (< 0 b) b 0))))) (* h h)))))

(defun peer-score (ps cs g w model)
  (let ((sum (sum-topics ps cs model)))
    (+ (if (equal (at 0 w) 0) sum (low sum (at 0 w))) (over-all g w model))))
