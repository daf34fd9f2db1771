class User < ApplicationRecord
  alias_attribute :email, :email_address

  has_secure_password
  has_many :sessions, dependent: :destroy
end
