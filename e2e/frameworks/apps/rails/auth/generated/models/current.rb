class Current < ActiveSupport::CurrentAttributes
  attribute :session
end
