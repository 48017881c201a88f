; The peer score of GossipSub in plain ACL2: what is counted of a neighbour, and what it is worth.
; Exact on rationals. SPEC is T for the specification, NIL for the published model: there the time in the mesh is not
; rounded down, a live deficit counts in P3b too, P6 is given as it is, and P7 has no threshold.

(defun p1 (spec mesh quantum cap)
  (min (if spec (floor mesh quantum) (/ mesh quantum)) cap))

(defun p2 (first cap)
  (min first cap))

(defun deficit (mesh activation delivered threshold)
  (if (and (< activation mesh) (< delivered threshold))
      (- threshold delivered)
    0))

(defun p3 (missing)
  (* missing missing))

(defun p3b (spec failures missing)
  (if spec failures (+ failures (p3 missing))))

(defun p4 (invalid)
  (* invalid invalid))

(defun p5 (app)
  app)

(defun p6 (spec surplus)
  (if spec (* (max 0 surplus) (max 0 surplus)) surplus))

(defun p7 (spec behaviour threshold)
  (let ((excess (if spec (max 0 (- behaviour threshold)) behaviour)))
    (* excess excess)))

; Parameters of a topic in a list: tw, w1, quantum, cap of P1, w2, cap of P2, w3, threshold, activation, w3b, w4.
; Counters in a list: time in the mesh, first deliveries, mesh deliveries, invalid messages, failures.
(defun topic-score (spec parameters counters)
  (let* ((missing (deficit (nth 0 counters) (nth 8 parameters) (nth 2 counters) (nth 7 parameters))))
    (* (nth 0 parameters)
       (+ (* (nth 1 parameters) (p1 spec (nth 0 counters) (nth 2 parameters) (nth 3 parameters)))
          (* (nth 4 parameters) (p2 (nth 1 counters) (nth 5 parameters)))
          (* (nth 6 parameters) (p3 missing))
          (* (nth 9 parameters) (p3b spec (nth 4 counters) missing))
          (* (nth 10 parameters) (p4 (nth 3 counters)))))))

(defun topic-scores (spec topics)
  (if (endp topics)
      0
    (+ (topic-score spec (nth 0 (car topics)) (nth 1 (car topics)))
       (topic-scores spec (cdr topics)))))

; A cap of 0 is none. Weights and counters over all topics: w5, w6, w7, threshold of P7; A, surplus, H.
(defun peer-score (spec cap weights topics counters)
  (let ((total (topic-scores spec topics)))
    (+ (if (equal cap 0) total (min total cap))
       (* (nth 0 weights) (p5 (nth 0 counters)))
       (* (nth 1 weights) (p6 spec (nth 1 counters)))
       (* (nth 2 weights) (p7 spec (nth 2 counters) (nth 3 weights))))))
