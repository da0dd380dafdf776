"""What somebody with all rights might do to redemptions, and which checks must notice."""

from tests.bookkeeping.tampering import tampering

CASES = {
    "a voucher is marked unused": tampering(
        "UPDATE redeem.vouchers SET state = 'open', remaining_fen = face_fen WHERE"
        " (claim_id, position) = (SELECT claim_id, position FROM captured)",
        "I4_draws_within_face",
        "I7_outstanding_is_unused_vouchers",
    ),
    "a hold is dropped from its voucher": tampering(
        "UPDATE redeem.vouchers SET state = 'open', held_fen = 0, remaining_fen = face_fen"
        " WHERE state = 'held' AND claim_id = (SELECT claim_id FROM pending)",
        "I4_draws_within_face",
        "I7_held_is_held_vouchers",
        "I7_outstanding_is_unused_vouchers",
    ),
    "a voucher's row is deleted": tampering(
        "DELETE FROM redeem.vouchers WHERE (claim_id, position) = (SELECT claim_id,"
        " position FROM captured)",
        "I4_draws_within_face",
        "I4_redemptions_keep_the_terms",
        "I7_expiries_are_exact",
        "I7_outstanding_is_unused_vouchers",
    ),
    "a voucher is given another kind": tampering(
        "UPDATE redeem.vouchers SET kind_id = 'book' WHERE (claim_id, position) = (SELECT"
        " claim_id, position FROM captured)",
        "I4_redemptions_keep_the_terms",
        "I4_vouchers_belong_to_claims",
        "I7_expiries_are_exact",
        "I7_outstanding_is_unused_vouchers",
    ),
    "a voucher's end is put off": tampering(
        "UPDATE redeem.vouchers SET valid_until = valid_until + interval '1 day' WHERE"
        " (claim_id, position) = (SELECT claim_id, position FROM captured)",
        "I4_vouchers_belong_to_claims",
        "I7_expiries_are_exact",
    ),
    "a void voucher is revived": tampering(
        "UPDATE redeem.vouchers SET state = 'expired' WHERE state = 'void'",
        "I4_vouchers_belong_to_claims",
        "I7_expiries_are_exact",
        "I7_outstanding_is_unused_vouchers",
    ),
    "a voucher is redeemed a second time": tampering(
        "DROP INDEX redeem.redemptions_one_live_draw; INSERT INTO redeem.redemptions SELECT"
        " (copied).* FROM (SELECT jsonb_populate_record(r,"
        " jsonb_build_object('redemption_id', gen_random_uuid(), 'draw_seq', r.draw_seq +"
        " 1)) AS copied FROM captured AS r) AS c",
        "I4_draws_within_face",
        "I4_one_live_redemption",
        "I4_redemptions_keep_the_terms",
        "I7_payable_is_unpaid_captures",
        "I8_funded_is_accounted_for",
        "I9_amounts_follow_from_events",
        "I9_events_have_their_journals",
        "I9_records_follow_from_events",
    ),
    "a redemption is deleted": tampering(
        "DELETE FROM redeem.redemptions WHERE redemption_id = (SELECT redemption_id FROM captured)",
        "I4_draws_within_face",
        "I7_payable_is_unpaid_captures",
        "I8_funded_is_accounted_for",
        "I9_amounts_follow_from_events",
        "I9_events_have_their_journals",
        "I9_records_follow_from_events",
    ),
    "a redemption is raised": tampering(
        "UPDATE redeem.redemptions SET amount_fen = amount_fen + 1 WHERE redemption_id ="
        " (SELECT redemption_id FROM captured)",
        "I4_draws_within_face",
        "I4_redemptions_keep_the_terms",
        "I7_payable_is_unpaid_captures",
        "I9_records_follow_from_events",
    ),
    "a redemption is given to another merchant": tampering(
        "UPDATE redeem.redemptions SET merchant_id = (SELECT merchant_id FROM"
        " campaign.merchants WHERE merchant_id <> redemptions.merchant_id LIMIT 1) WHERE"
        " redemption_id = (SELECT redemption_id FROM captured)",
        "I4_redemptions_keep_the_terms",
        "I7_payable_is_unpaid_captures",
        "I9_amounts_follow_from_events",
    ),
    "a capture is called a hold": tampering(
        "UPDATE redeem.redemptions SET state = 'held', held_at = created_at, hold_expires_at ="
        " created_at, captured_at = NULL, captured_kind = NULL, captured_by = NULL, settlement_id ="
        " NULL WHERE redemption_id = (SELECT redemption_id FROM captured)",
        "I4_draws_within_face",
        "I7_payable_is_unpaid_captures",
        "I8_funded_is_accounted_for",
        "I9_amounts_follow_from_events",
        "I9_events_have_their_journals",
        "I9_records_follow_from_events",
    ),
    "a capture is dated back": tampering(
        "UPDATE redeem.redemptions SET captured_at = captured_at - interval '1 minute'"
        " WHERE redemption_id = (SELECT redemption_id FROM captured)",
        "I9_events_have_their_journals",
    ),
    "an order is lowered below the minimum": tampering(
        "UPDATE redeem.redemptions SET order_amount_fen = 1001 WHERE redemption_id ="
        " (SELECT redemption_id FROM captured)",
        "I4_redemptions_keep_the_terms",
        "I9_records_follow_from_events",
    ),
    "a request leads to another redemption": tampering(
        "UPDATE redeem.requests SET redemption_id = NULL WHERE redemption_id = (SELECT"
        " redemption_id FROM captured)",
        "I4_redemptions_keep_the_terms",
    ),
    "an instruction is confirmed by nobody": tampering(
        "UPDATE redeem.instructions SET state = 'confirmed', finished_at = now() WHERE"
        " state = 'open'",
        "I9_ecny_is_confirmed",
    ),
    "a confirmed payment is deleted": tampering(
        "DELETE FROM redeem.instructions WHERE redemption_id = (SELECT redemption_id FROM final)",
        "I9_ecny_is_confirmed",
    ),
    "an expiry counts one voucher too few": tampering(
        "UPDATE redeem.expiries SET untouched = untouched - 1 WHERE (drop_id, kind_id) ="
        " (SELECT drop_id, kind_id FROM captured)",
        "I7_expiries_are_exact",
        "I7_outstanding_is_unused_vouchers",
        "I9_amounts_follow_from_events",
        "I9_records_follow_from_events",
    ),
    "an expiry is deleted": tampering(
        "DELETE FROM redeem.expiries WHERE (drop_id, kind_id) = (SELECT drop_id, kind_id"
        " FROM captured)",
        "I7_cohorts_know_their_expiry",
        "I7_outstanding_is_unused_vouchers",
        "I9_amounts_follow_from_events",
        "I9_events_have_their_journals",
        "I9_records_follow_from_events",
    ),
    "a cohort is said not to have expired": tampering(
        "UPDATE claim.expiry_cohorts SET expired = false WHERE (drop_id, kind_id) = (SELECT"
        " drop_id, kind_id FROM captured)",
        "I7_cohorts_know_their_expiry",
    ),
    "an expiry's amount is lowered": tampering(
        "UPDATE redeem.expiries SET amount_fen = amount_fen - 1 WHERE (drop_id, kind_id) ="
        " (SELECT drop_id, kind_id FROM captured)",
        "I7_expiries_are_exact",
        "I9_records_follow_from_events",
    ),
    "a capture's transfer is raised": tampering(
        "UPDATE ledger.transfers SET amount_fen = amount_fen + 1 WHERE line = 1 AND"
        " journal_id = (SELECT journal_id FROM first_journal('J10'))",
        "I6_no_account_is_overdrawn",
        "I7_outstanding_is_unused_vouchers",
        "I7_payable_is_unpaid_captures",
        "I8_funded_is_accounted_for",
        "I9_amounts_follow_from_events",
    ),
    "a held amount is raised": tampering(
        "UPDATE ledger.transfers SET amount_fen = amount_fen + 1 WHERE line = 1 AND"
        " journal_id = (SELECT journal_id FROM first_journal('J8'))",
        "I6_no_account_is_overdrawn",
        "I7_held_is_held_vouchers",
        "I7_outstanding_is_unused_vouchers",
        "I9_amounts_follow_from_events",
    ),
    "a settlement record is deleted": tampering(
        "DELETE FROM ledger.settlement_records WHERE settlement_id = (SELECT settlement_id"
        " FROM final)",
        "I9_records_follow_from_events",
    ),
    "a settlement record is written twice": tampering(
        "INSERT INTO ledger.settlement_records SELECT (copied).* FROM (SELECT"
        " jsonb_populate_record(s, jsonb_build_object('settlement_id', gen_random_uuid()))"
        " AS copied FROM ledger.settlement_records AS s WHERE settlement_id = (SELECT"
        " settlement_id FROM final)) AS c",
        "I9_records_follow_from_events",
    ),
    "a settlement record pays more": tampering(
        "UPDATE ledger.settlement_records SET net_fen = net_fen + 1 WHERE settlement_id ="
        " (SELECT settlement_id FROM captured)",
        "I7_payouts_are_their_records",
        "I9_records_follow_from_events",
    ),
    "a record's split is changed": tampering(
        "UPDATE ledger.settlement_records SET fund_split = '{\"city\": 1}' WHERE"
        " settlement_id = (SELECT settlement_id FROM captured)",
        "I9_records_follow_from_events",
    ),
    "a reversal is given another original": tampering(
        "UPDATE ledger.settlement_records SET original_settlement_id = gen_random_uuid()"
        " WHERE record_type = 'REVERSAL' AND rail = 'BANK'",
        "I9_records_follow_from_events",
    ),
    "a payout is raised": tampering(
        "UPDATE ledger.payouts SET amount_fen = amount_fen + 1 WHERE state = 'cut'",
        "I7_payable_is_unpaid_captures",
        "I7_payouts_are_their_records",
        "I7_transit_is_payouts_under_way",
        "I9_amounts_follow_from_events",
    ),
    "a payout nets more": tampering(
        "UPDATE ledger.payouts SET netted_fen = netted_fen + 1 WHERE state = 'cut'",
        "I7_merchant_recv_is_clawed_back",
        "I7_payable_is_unpaid_captures",
        "I7_payouts_are_their_records",
        "I9_amounts_follow_from_events",
    ),
    "a record is taken out of its payout": tampering(
        "DELETE FROM ledger.payout_items WHERE payout_id = (SELECT payout_id FROM"
        " ledger.payouts WHERE state = 'confirmed')",
        "I7_payouts_are_their_records",
    ),
    "a payout is confirmed by nobody": tampering(
        "UPDATE ledger.payouts SET state = 'confirmed', ended_at = now(), ended_by = 'x'"
        " WHERE state = 'cut'",
        "I7_transit_is_payouts_under_way",
        "I9_amounts_follow_from_events",
        "I9_events_have_their_journals",
    ),
    "a batch is raised": tampering(
        "UPDATE ledger.settlement_batches SET amount_fen = amount_fen + 1 WHERE state = 'cut'",
        "I7_payouts_are_their_records",
    ),
    "a return is raised": tampering(
        "UPDATE ledger.funder_returns SET bank_fen = bank_fen + 1 WHERE funder_id = 'city'",
        "I8_funded_is_accounted_for",
        "I9_amounts_follow_from_events",
    ),
    "a return is deleted": tampering(
        "DELETE FROM ledger.funder_returns WHERE funder_id = 'city'",
        "I8_funded_is_accounted_for",
        "I9_amounts_follow_from_events",
        "I9_events_have_their_journals",
    ),
    "a break is raised": tampering(
        "UPDATE ledger.breaks SET difference_fen = difference_fen + 1 WHERE difference_fen > 0",
        "I7_suspense_is_posted_breaks",
        "I9_amounts_follow_from_events",
    ),
    "a break is taken back": tampering(
        "UPDATE ledger.breaks SET state = 'open', journal_id = NULL, approved_by = NULL"
        " WHERE difference_fen < 0",
        "I7_suspense_is_posted_breaks",
        "I9_amounts_follow_from_events",
        "I9_events_have_their_journals",
    ),
    "a custody move is lowered": tampering(
        "UPDATE ledger.custody_moves SET amount_fen = amount_fen - 1 WHERE direction = 'to_wallet'",
        "I7_custody_follows_the_drops",
        "I9_amounts_follow_from_events",
    ),
    "a claim with a redeemed voucher is released": tampering(
        "UPDATE claim.claims SET state = 'released', released_at = now(), released_version"
        " = 5 WHERE claim_id = (SELECT claim_id FROM captured)",
        "I1_live_is_counted",
        "I4_vouchers_belong_to_claims",
        "I7_expiries_are_exact",
        "I7_outstanding_is_unused_vouchers",
        "I7_reserved_is_unclaimed_packs",
        "I9_released_claims_have_releases",
    ),
}

# Names by which the statements above find their rows: the first capture in one step, the first that
# the e-CNY operator confirmed, the one that it has not answered.
NAMES = """
    CREATE VIEW public.captured AS
        SELECT * FROM redeem.redemptions
        WHERE captured_kind = 'J10' AND held_at IS NULL AND ended_at IS NULL
        ORDER BY created_at LIMIT 1;
    CREATE VIEW public.final AS
        SELECT * FROM redeem.redemptions
        WHERE captured_kind = 'J17' AND ended_at IS NULL
        ORDER BY created_at LIMIT 1;
    CREATE VIEW public.pending AS SELECT * FROM redeem.redemptions WHERE state = 'pending';
    CREATE FUNCTION public.first_journal(p_kind text) RETURNS SETOF ledger.journals
    LANGUAGE sql AS $$
        SELECT * FROM ledger.journals WHERE kind = p_kind ORDER BY posted_at, event LIMIT 1
    $$;
"""
